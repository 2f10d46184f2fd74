"""A hand-written body for tests of the renderer: no motion library needed."""

import numpy as np

from kinetag.exercises.kinematics import BODY


def standing(x: float = 0.0, z: float = 0.0, heading: float = 0.0) -> np.ndarray:
    """Joints (23, 3) of someone 1.75 m tall with hanging arms; ``heading`` degrees, 0 looks along +z."""
    at = {"pelvis": (0, 0.93, 0), "chest": (0, 1.18, 0), "neck": (0, 1.43, 0), "head": (0, 1.60, 0.02)}
    at |= {"nose": (0, 1.58, 0.12)}
    for side, sign in (("left", 1), ("right", -1)):
        at |= {
            f"{side}_ear": (sign * 0.075, 1.60, 0.0),
            f"{side}_shoulder": (sign * 0.185, 1.40, 0),
            f"{side}_elbow": (sign * 0.23, 1.12, 0),
            f"{side}_wrist": (sign * 0.25, 0.87, 0.02),
            f"{side}_hand": (sign * 0.25, 0.79, 0.03),
            f"{side}_hip": (sign * 0.095, 0.92, 0),
            f"{side}_knee": (sign * 0.10, 0.50, 0.01),
            f"{side}_ankle": (sign * 0.11, 0.08, 0),
            f"{side}_heel": (sign * 0.11, 0.03, -0.05),
            f"{side}_foot_index": (sign * 0.12, 0.02, 0.16),
        }
    joints = np.array([at[name] for name in BODY], float)
    a = np.deg2rad(heading)
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    return joints @ turn.T + (x, 0, z)
