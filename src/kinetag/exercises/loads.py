"""What the hands hold has weight: how much is in each, as a share of the body's mass."""

from collections.abc import Sequence

import numpy as np

from kinetag.exercises.recipes import Recipe

# In both hands together, from what beginners take to what strong people lift. A rope weighs next to nothing, and the
# bar of a cable pulls wherever the cable goes.
_WEIGHTS = {"barbell": (0.12, 0.8), "dumbbells": (0.04, 0.45), "dumbbell": (0.03, 0.3), "kettlebell": (0.08, 0.4)}
_EMPTY = 0.2  # share of those who practise with something that weighs next to nothing


def draw_loads(recipes: Sequence[Recipe], rng: np.random.Generator) -> np.ndarray:
    """Mass in the left and the right hand of each person, (B, 2) in masses of the body.

    What both hands hold, and a weight for each, is shared evenly. One weight in one hand is in the left, on which
    one-sided exercises are written (the motions of the other half are turned around afterwards); it stays there also
    where the sides take turns.
    """
    loads = np.zeros((len(recipes), 2), np.float32)
    for i, recipe in enumerate(recipes):
        kind = next((thing for thing in recipe.equipment if thing in _WEIGHTS), None)
        if kind is None:
            continue
        in_all = np.exp(rng.uniform(*np.log(_WEIGHTS[kind]))) * (rng.random() > _EMPTY)
        shared = recipe.grip or kind in ("barbell", "dumbbells")
        loads[i] = in_all * np.array([0.5, 0.5] if shared else [1.0, 0.0])
    return loads
