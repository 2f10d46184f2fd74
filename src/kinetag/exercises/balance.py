"""Balance: whoever stands on nothing but the feet keeps the centre of mass, what they hold included, over them.

Angles alone let a body lean where nobody could stand. What the floor pushes back at, the zero moment point, can only be
under feet that bear. Of somebody who moves slowly it is right below the centre of mass; else it is ahead of it or
behind, by how fast that speeds up. Where it would be outside, the hips and all above them move, while feet that bear
stay: as much as it takes, spread over time as an inverted pendulum spreads it (its centre of mass is the zero moment
point, smoothed by exp(-|t| sqrt(g / height)); Kajita et al., "Biped walking pattern generation by using preview control
of zero-moment point", ICRA 2003).
"""

import numpy as np

from kinetag.exercises.kinematics import BODY, JOINT, REACH, Proportions, bend_limb

GRAVITY = 9.81

# Winter, Biomechanics and Motor Control of Human Movement, table 4.1: between which joints a segment is, its share of
# the body's mass, and how far from the first to the second its centre is (of the trunk's parts, whose ends are other
# joints there, about the middle). Limbs are there once a side.
_SEGMENTS = (
    ("neck", "head", 0.081, 1.0), ("pelvis", "pelvis", 0.142, 0.0), ("pelvis", "chest", 0.139, 0.5),
    ("chest", "neck", 0.216, 0.5),
)  # fmt: skip
_LIMBS = (
    ("shoulder", "elbow", 0.028, 0.436), ("elbow", "wrist", 0.016, 0.430), ("wrist", "hand", 0.006, 0.506),
    ("hip", "knee", 0.100, 0.433), ("knee", "ankle", 0.0465, 0.433), ("heel", "foot_index", 0.0145, 0.5),
)  # fmt: skip
_SIDES = ("left", "right")


def _masses() -> np.ndarray:
    """What share of the body's mass to put where each joint is, (25,)."""
    mass = np.zeros(len(BODY), np.float32)
    both = [(f"{side}_{a}", f"{side}_{b}", share, at) for side in _SIDES for a, b, share, at in _LIMBS]
    for a, b, share, at in (*_SEGMENTS, *both):
        mass[JOINT[a]] += share * (1 - at)
        mass[JOINT[b]] += share * at
    return mass / mass.sum()


MASS = _masses()
_CARRIED = 0.87  # how far the centre of mass goes with the hips, since feet and half of the legs stay
_HANDS = [JOINT["left_hand"], JOINT["right_hand"]]
_LEVEL = [0, 2]
_BACK, _AHEAD = 0.55, 0.75  # how near to heel and toes, of half a foot's length from its middle
_ASIDE = 0.025  # m to either side of the middle of a foot
_MOST = 0.35  # of the body's height: hips that had to move farther are those of somebody who falls


def centre_of_mass(joints: np.ndarray, loads: np.ndarray | None = None) -> np.ndarray:
    """Where joints (..., 25, 3) have their centre of mass, (..., 3), together with what the hands hold: ``loads``
    (..., 2) in masses of the body, left and right; None: nothing."""
    middle = np.tensordot(joints, MASS, axes=(-2, 0))
    if loads is None or not loads.any():
        return middle
    held = (loads[..., None] * joints[..., _HANDS, :]).sum(axis=-2)
    return (middle + held) / (1 + loads.sum(axis=-1, keepdims=True))


def stand(
    joints: np.ndarray, body: Proportions, bears: np.ndarray, every: float | None, loads: np.ndarray | None = None
) -> None:
    """Move hips and all above them so that the feet can hold the body and its loads; in place.

    joints (B, T, 25, 3) with their feet on the floor; ``bears`` (B, T, 2) in [0, 1], how much the left and right foot
    are on it; ``every`` seconds there is a frame (None: each is a pose, held); ``loads`` (B, 2), what the hands hold.
    """
    loads = np.zeros((len(joints), 2), np.float32) if loads is None else loads
    mass = centre_of_mass(joints, loads[:, None])
    pushed = mass[..., _LEVEL].copy()
    rate = np.sqrt(GRAVITY / np.maximum(mass[..., 1].mean(axis=1), 0.2))[:, None, None]  # (B, 1, 1), 1/s
    if every is not None and joints.shape[1] > 2:
        pushed[:, 1:-1] -= np.diff(pushed, 2, axis=1) / (rate * every) ** 2
    on_floor = np.minimum(1, 4 * bears.max(axis=-1, keepdims=True))
    # In the air nothing pushes, so nothing speeds up.
    off = mass[..., _LEVEL] + on_floor * (_nearest(joints, bears**2, pushed) - mass[..., _LEVEL]) - pushed
    if every is not None:
        off = _spread(off, np.exp(-rate * every))
    most = _MOST * body.height[:, None, None]
    far = np.linalg.norm(off, axis=-1, keepdims=True)
    held = loads.sum(axis=1)[:, None, None]
    carried = (_CARRIED + held) / (1 + held)
    off = off / carried * np.minimum(1, most / np.maximum(far, 1e-6))
    _shift(joints, body, off, bears)


def _nearest(joints: np.ndarray, bears: np.ndarray, point: np.ndarray) -> np.ndarray:
    """The point (B, T, 2) on the floor nearest to ``point`` at which the feet can push."""
    heel, toes = (
        np.stack([joints[..., JOINT[f"{side}_{part}"], :] for side in _SIDES], -2) for part in ("heel", "foot_index")
    )  # (B, T, 2, 3)
    middle, half = ((toes + heel) / 2)[..., _LEVEL], ((toes - heel) / 2)[..., _LEVEL]
    # A foot on its toes, or on its heel, pushes there.
    tipped = np.clip((heel[..., 1] - toes[..., 1]) / 0.06, -1, 1)  # (B, T, 2)
    low, high = -_BACK + 1.1 * np.maximum(tipped, 0), _AHEAD + 1.1 * np.minimum(tipped, 0)
    share = bears / np.maximum(bears.max(axis=-1, keepdims=True), 1e-3)
    way = middle[..., 1, :] - middle[..., 0, :]
    along = ((point - middle[..., 0, :]) * way).sum(axis=-1) / ((way * way).sum(axis=-1) + 1e-4)
    along = np.clip(along, 1 - share[..., 0], share[..., 1])[..., None]  # from the left foot to the right one

    def between(values: np.ndarray) -> np.ndarray:
        return values[..., 0, :] * (1 - along) + values[..., 1, :] * along

    start, foot = between(middle), between(half)
    rest = point - start
    ahead = (rest * foot).sum(axis=-1, keepdims=True) / ((foot * foot).sum(axis=-1, keepdims=True) + 1e-6)
    ahead = np.clip(ahead, between(low[..., None]), between(high[..., None]))
    aside = rest - ahead * foot
    wide = np.linalg.norm(aside, axis=-1, keepdims=True)
    return start + ahead * foot + aside * np.minimum(1, _ASIDE / np.maximum(wide, 1e-6))


def _spread(values: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """``values`` (B, T, 2) smoothed over the time before and after: weights ``keep`` (B, 1, 1) to the power of how many
    frames away; before the first and after the last frame all is as there."""
    runs = np.stack([values, values[:, ::-1]]).transpose(2, 0, 1, 3)  # (T, 2, B, 2): there and back
    new = runs * (1 - keep[:, 0])
    out = np.empty_like(new)
    out[0] = runs[0]
    for t in range(1, len(out)):
        np.multiply(out[t - 1], keep[:, 0], out=out[t])
        out[t] += new[t]
    before, after = out.transpose(1, 2, 0, 3)
    return (before + after[:, ::-1] - (1 - keep) * values) / (1 + keep)


def _shift(joints: np.ndarray, body: Proportions, off: np.ndarray, bears: np.ndarray) -> None:
    """Hips and all above them moved by ``off`` (B, T, 2) about the ankles: legs that bear stay as long as they are."""
    share = bears / np.maximum(bears.sum(axis=-1, keepdims=True), 1e-3)
    reach = (REACH * body.leg)[:, None]
    rise, most = np.zeros(off.shape[:2], np.float32), np.full(off.shape[:2], np.inf, np.float32)
    for i, side in enumerate(_SIDES):
        gap = joints[..., JOINT[f"{side}_hip"], :] - joints[..., JOINT[f"{side}_ankle"], :]
        level = ((gap[..., _LEVEL] + off) ** 2).sum(axis=-1)
        length = (gap * gap).sum(axis=-1)
        rise += share[..., i] * (np.sqrt(np.maximum(length - level, 0)) - gap[..., 1])
        allowed = np.sqrt(np.maximum(reach * reach - level, 0)) - gap[..., 1]
        most = np.where(bears[..., i] > 0.5, np.minimum(most, allowed), most)
    rise = np.minimum(rise, np.maximum(most, -0.3))
    move = np.stack([off[..., 0], rise, off[..., 1]], -1)
    joints += move[:, :, None]
    for i, side in enumerate(_SIDES):
        chain = (f"{side}_hip", f"{side}_knee", f"{side}_ankle")
        foot = [JOINT[f"{side}_{name}"] for name in ("ankle", "heel", "foot_index")]
        before = joints[..., foot[0], :].copy()
        bend_limb(joints, body, chain, before - bears[..., i, None] * move)
        joints[..., foot[1:], :] += (joints[..., foot[0], :] - before)[..., None, :]
