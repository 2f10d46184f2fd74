"""How `kinetag train` learns. Importing a module loads torch and Lightning; importing this package does not."""
