"""From windows to single moments: what the classifier says at a frame."""

from collections.abc import Sequence

import numpy as np

REACH = 1.5  # seconds from a window beyond which nothing is known; a hole as long ends a segment too


def at_times(
    times: np.ndarray | Sequence[float], centres: np.ndarray, probabilities: np.ndarray, cuts: Sequence[float] = ()
) -> np.ndarray:
    """Class probabilities (F, K) at moments (F,) in seconds, in any order.

    ``probabilities`` (W, K) are those of windows around ``centres`` (W,), increasing; between two they change evenly.
    Only those of the same shot (``cuts`` are the times at which another begins) and within `REACH` count; NaN without.
    """
    # What the network says of single frames is in the windows' answers; alone it is right less often, at changes too.
    times = np.asarray(times, np.float64)
    if not len(centres):
        return np.full((len(times), probabilities.shape[1]), np.nan, np.float32)
    shot, shots = (np.searchsorted(np.asarray(cuts, np.float64), these, side="right") for these in (times, centres))
    after = np.searchsorted(centres, times)
    left, right = np.maximum(after - 1, 0), np.minimum(after, len(centres) - 1)
    to_left, to_right = abs(times - centres[left]), abs(times - centres[right])
    use_left, use_right = (shots[left] == shot) & (to_left <= REACH), (shots[right] == shot) & (to_right <= REACH)
    share = np.where(use_left & use_right, to_left / np.maximum(to_left + to_right, 1e-9), use_right)  # of the right
    share = share.astype(np.float32)[:, None]
    said = (1 - share) * probabilities[left] + share * probabilities[right]
    said[~(use_left | use_right)] = np.nan
    return said
