"""The actions of a spec, one file each: a function of the spec that writes into its results folder."""
