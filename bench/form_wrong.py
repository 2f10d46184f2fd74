"""Exercises done wrong on purpose, for form.py: what is done differently, as a variant in an exercise's file says it.

Each fault of the library has one, from poses that a body can take: hands on a bar keep their distance, who stands is in
balance.
"""

from typing import Any

LEANING = {"trunk": [68, 85]}
SWING = {"trunk": [-38, -30]}
WRONG: dict[str, dict[str, dict[str, Any]]] = {
    "squat": {
        "too_shallow": {"poses": {"bottom": {"thigh": [25, 38], "shin": [4, 14], "trunk": [8, 25]}}},
        "leaning": {"poses": {"bottom": {**LEANING, "thigh": [60, 90]}}},
        "knees_inward": {
            "base": {"abduction": [10, 14]},
            "poses": {"bottom": {"abduction": [-18, -12], "hip_rotation": [-25, -15]}},
        },
        "not_straight": {"poses": {"top": {"thigh": [26, 36], "shin": [22, 30], "trunk": [10, 25]}}},
    },
    "jump_squat": {
        "too_shallow": {"poses": {"bottom": {"thigh": [12, 22], "shin": [2, 10]}}},
        "knees_inward": {
            "base": {"abduction": [10, 14]},
            "poses": {"bottom": {"abduction": [-18, -12], "hip_rotation": [-25, -15]}},
        },
    },
    "push_up": {
        "too_shallow": {"poses": {"down": {"elbow": [35, 50]}}},
        "not_straight": {"poses": {"up": {"elbow": [60, 72]}}},
        "sagging": {"base": {"hip": [-40, -30]}},
        "piking": {"base": {"hip": [42, 60]}},
    },
    "knee_push_up": {
        "too_shallow": {"poses": {"down": {"elbow": [30, 45]}}},
        "not_straight": {"poses": {"up": {"elbow": [60, 72]}}},
    },
    "plank": {"sagging": {"base": {"hip": [-42, -32]}}, "piking": {"base": {"hip": [42, 60]}}},
    "pull_up": {
        "chin_below_bar": {"poses": {"up": {"elbow": [60, 80], "shoulder": [95, 115]}}},
        "not_hanging": {"poses": {"hang": {"elbow": [62, 75], "shoulder": [110, 130]}}},
    },
    "dip": {
        "too_shallow": {"poses": {"down": {"elbow": [30, 45], "shoulder": [-30, -15]}}},
        "not_straight": {"poses": {"up": {"elbow": [60, 72], "shoulder": [-35, -20]}}},
    },
    "bench_press": {
        "too_shallow": {"poses": {"down": {"elbow": [40, 52], "shoulder": [74, 92], "plane": [10, 30]}}},
        "not_straight": {"poses": {"up": {"elbow": [62, 74]}}},
    },
    "overhead_press": {
        "not_straight": {"poses": {"up": {"elbow": [62, 74], "shoulder": [125, 145]}}},
        "not_overhead": {"poses": {"up": {"shoulder": [95, 115]}}},
    },
    "biceps_curl": {
        "swinging": {"poses": {"up": SWING}},
        "not_straight": {"poses": {"down": {"elbow": [72, 85]}}},
        "too_small": {"poses": {"up": {"elbow": [42, 58]}}},
    },
    "front_raise": {
        "swinging": {"poses": {"up": SWING}},
        "too_low": {"poses": {"up": {"shoulder": [38, 48]}}},
    },
    "lateral_raise": {
        "swinging": {"poses": {"up": SWING}},
        "too_low": {"poses": {"up": {"shoulder": [26, 36]}}},
    },
    "bent_over_row": {
        "rising": {"base": {"trunk": [55, 80]}, "poses": {"up": {"trunk": [5, 15]}}},
        "too_small": {"poses": {"down": {"elbow": [2, 10]}, "up": {"elbow": [38, 48], "shoulder": [5, 20]}}},
    },
    "deadlift": {"not_upright": {"poses": {"top": {"trunk": [28, 36], "thigh": [22, 30], "shin": [2, 8]}}}},
    "good_morning": {
        "squatting": {"poses": {"low": {"thigh": [75, 95], "shin": [18, 30], "trunk": [40, 60]}}},
        "too_shallow": {"poses": {"low": {"trunk": [10, 18], "thigh": [0, 4]}}},
    },
    "kettlebell_swing": {
        "not_upright": {"poses": {"up": {"trunk": [25, 35], "thigh": [15, 22]}}},
        "squatting": {"poses": {"back": {"thigh": [75, 95], "shin": [22, 35], "trunk": [25, 40]}}},
    },
    "lunge": {
        "too_shallow": {
            "poses": {"low": {"left": {"thigh": [30, 38], "shin": [0, 4]}, "right": {"thigh": -15, "knee": 34}}}
        },
        "leaning": {"poses": {"low": {"trunk": [55, 75]}}},
    },
    "split_squat": {
        "too_shallow": {
            "poses": {
                "bottom": {
                    "left": {"thigh": [36, 46], "shin": [-4, 6]},
                    "right": {"thigh": [-28, -14], "knee": [30, 42]},
                }
            }
        },
        "leaning": {"poses": {"bottom": {"trunk": [60, 75]}}},
    },
    "sit_up": {"too_small": {"poses": {"up": {"trunk": [-84, -78]}}}},
    "glute_bridge": {"too_low": {"poses": {"up": {"trunk": [-99, -96], "thigh": [136, 144]}}}},
    "hip_thrust": {"too_low": {"poses": {"up": {"trunk": [-72, -64], "thigh": [104, 112]}}}},
    "leg_raise": {"too_low": {"poses": {"up": {"thigh": [118, 126]}}}},
    "lat_pulldown": {
        "swinging": {"poses": {"down": {"trunk": [-66, -54]}, "up": {"trunk": [-8, 4]}}},
        "too_small": {"poses": {"down": {"elbow": [40, 55], "shoulder": [120, 140]}}},
    },
    "triceps_pushdown": {
        "not_straight": {"poses": {"straight": {"elbow": [60, 72]}, "bent": {"elbow": [120, 135]}}},
        "elbows_swing": {"poses": {"bent": {"shoulder": [70, 85]}, "straight": {"shoulder": [0, 10]}}},
    },
    "overhead_triceps_extension": {
        "not_straight": {"poses": {"straight": {"elbow": [60, 72]}, "bent": {"elbow": [120, 140]}}},
        "elbows_down": {"poses": {"straight": {"shoulder": [70, 88]}}},
    },
    "jumping_jack": {"arms_low": {"poses": {"open": {"shoulder": [62, 78]}, "hop": {"shoulder": [35, 50]}}}},
    "wall_sit": {"too_high": {"poses": {"held": {"thigh": [20, 32], "knee": [20, 32]}}}},
    "arm_circles": {
        "arms_low": {
            "poses": {
                "bottom": {"shoulder": [12, 20]},
                "front": {"shoulder": [34, 42]},
                "top": {"shoulder": [54, 66]},
                "back": {"shoulder": [34, 42]},
            }
        }
    },
    "bridge": {"sagging": {"poses": {"held": {"trunk": [-96, -92], "thigh": [140, 150], "shin": [-45, -35]}}}},
    "burpee": {
        "sagging": {"poses": {"plank": {"hip": [-42, -34]}, "down": {"hip": [-42, -34]}}},
        "piking": {"poses": {"plank": {"hip": [52, 66]}, "down": {"hip": [52, 66]}}},
        "not_upright": {
            "poses": {
                "stand": {"trunk": [32, 40], "thigh": [24, 32], "shin": [10, 16]},
                "take_off": {"trunk": [32, 40], "thigh": [24, 32], "shin": [10, 16]},
                "jump": {"trunk": [32, 40], "thigh": [24, 32]},
            }
        },
    },
    "butt_kick": {"heels_low": {"poses": {"kick": {"left": {"knee": [42, 58]}}}}},
    "calf_raise": {
        "rocking": {"poses": {"up": {"trunk": [22, 32]}}},
    },
    "chair_pose": {
        "too_shallow": {"poses": {"held": {"thigh": [14, 24], "shin": [4, 12]}}},
        "leaning": {"poses": {"held": {"trunk": [72, 85]}}},
    },
    "childs_pose": {
        "hips_high": {"poses": {"held": {"trunk": [92, 105], "thigh": [-8, 2], "shin": [86, 92]}}},
    },
    "clamshell": {"too_small": {"poses": {"open": {"left": {"abduction": [-4, 2], "hip_rotation": [8, 14]}}}}},
    "clean_and_jerk": {
        "not_straight": {
            "poses": {
                "overhead": {"elbow": [62, 74], "shoulder": [125, 145]},
                "recovered": {"elbow": [62, 74], "shoulder": [125, 145]},
            }
        },
        "bent_knees": {
            "poses": {
                "overhead": {"thigh": [36, 46], "shin": [24, 32]},
                "recovered": {"thigh": [36, 46], "shin": [24, 32]},
            }
        },
    },
    "cobra": {
        "hips_up": {"base": {"spine": [-6, 0], "hip": [18, 32]}},
    },
    "downward_dog": {
        "hips_low": {"base": {"hip": [38, 50], "trunk": [95, 108]}},
    },
    "goddess": {
        "too_shallow": {"poses": {"held": {"thigh": [8, 16], "abduction": [22, 30], "shin": [0, 4]}}},
        "leaning": {"poses": {"held": {"trunk": [42, 55]}}},
    },
    "high_knees": {"leaning": {"base": {"trunk": [-40, -32]}}},
    "jump_rope": {
        "arms_wide": {"poses": {p: {"shoulder": [80, 95], "elbow": [20, 60]} for p in ("ground", "air")}},
    },
    "mountain_climber": {
        "piking": {"base": {"hip": [65, 80]}, "poses": {"drive": {"right": {"hip": [65, 80]}}}},
    },
    "shoulder_rotation": {
        "too_small": {"poses": {"in": {"rotation": [-72, -60]}, "out": {"rotation": [-25, -15]}}},
    },
    "side_bend": {
        "forward": {"poses": {"bent": {"trunk": [45, 60], "side_bend": [15, 25]}}},
    },
    "side_lying_leg_raise": {"too_low": {"poses": {"up": {"left": {"abduction": [4, 10]}}}}},
    "side_plank": {
        "sagging": {
            "base": {"side_bend": [-24, -16]},
            "poses": {"held": {"left": {"abduction": [-26, -20]}, "right": {"abduction": [14, 20]}}},
        }
    },
    "single_leg_stance": {"leaning": {"base": {"side_bend": [30, 40]}}},
    "standing_leg_raise": {"leaning": {"poses": {"up": {"trunk": [-52, -42]}}}},
    "superman": {
        "legs_down": {"poses": {"up": {"hip": [-3, 2], "spine": [-45, -35]}}},
        "bent_knees": {"poses": {"up": {"knee": [60, 85]}}},
    },
    "tree": {
        "leaning": {"base": {"side_bend": [30, 40]}},
    },
    "triangle": {
        "hand_high": {
            "poses": {
                "held": {
                    "roll": [-2, 6],
                    "side_bend": [0, 6],
                    "left": {"abduction": [38, 48]},
                    "right": {"abduction": [34, 44]},
                }
            }
        }
    },
    "upright_row": {
        "too_low": {"poses": {"up": {"shoulder": [22, 34], "elbow": [75, 95]}}},
        "too_high": {"poses": {"up": {"shoulder": [135, 152]}}},
    },
    "warrior_1": {
        "arms_low": {"arms": "forward"},
        "leaning": {"poses": {"held": {"trunk": [40, 52]}}},
    },
    "warrior_2": {
        "too_shallow": {
            "poses": {"held": {"left": {"abduction": [32, 40], "knee": [10, 20]}, "right": {"abduction": [30, 38]}}}
        },
        "arms_low": {"base": {"shoulder": [35, 50]}},
    },
    "bicycle_crunch": {
        "far_knee": {"poses": {"drive": {"left": {"thigh": [130, 142], "knee": [85, 110]}}}},
    },
    "bird_dog": {"too_low": {"poses": {"out": {"left": {"hip": [50, 60], "knee": [0, 18]}}}}},
    "chest_fly": {"pressing": {"poses": {"apart": {"elbow": [88, 110], "shoulder": [60, 85]}}}},
    "crunch": {"sitting_up": {"poses": {"up": {"trunk": [-35, -15]}}}},
    "donkey_kick": {"too_low": {"poses": {"kick": {"left": {"hip": [50, 60]}}}}},
    "hurdle_step": {"leaning": {"poses": {"raise": {"trunk": [30, 42]}, "over": {"trunk": [30, 42]}}}},
    "plank_jack": {"sagging": {"base": {"hip": [-42, -32]}}},
    "russian_twist": {"too_small": {"poses": {"turned": {"twist": [10, 15]}}}},
    "scissors": {
        "bent_knees": {
            "base": {"knee": [60, 80]},
            "poses": {
                "together": {"knee": [60, 80]},
                "apart": {"left": {"knee": [60, 80]}, "right": {"knee": [60, 80]}},
            },
        },
    },
    "shoulder_abduction": {"limited": {"poses": {"up": {"shoulder": [58, 72]}}}},
    "shoulder_extension": {"swinging": {"poses": {"back": {"trunk": [36, 46]}}}},
    "shoulder_scaption": {"limited": {"poses": {"up": {"shoulder": [36, 44]}}}},
    "shrug": {"bent_arms": {"poses": {"up": {"elbow": [62, 78]}}}},
    "side_lunge": {"leaning": {"poses": {"side": {"trunk": [75, 88]}}}},
    "sit_to_stand": {
        "not_upright": {"poses": {"stand": {"trunk": [32, 42], "thigh": [22, 30], "shin": [8, 14]}}},
        "knees_inward": {
            "base": {"abduction": [10, 14]},
            "poses": {
                "sit": {"abduction": [-18, -12], "hip_rotation": [-25, -15]},
                "lean": {"abduction": [-18, -12], "hip_rotation": [-25, -15]},
            },
        },
    },
    "step_up": {"leaning": {"poses": {"up": {"trunk": [38, 50]}}}},
    "thruster": {"not_straight": {"poses": {"overhead": {"elbow": [64, 78], "shoulder": [125, 145]}}}},
    "toe_touch": {"bent_knees": {"poses": {"down": {"thigh": [24, 34], "knee": [48, 62]}}}},
    "torso_twist": {"too_small": {"poses": {"turned": {"twist": [10, 14], "turn": 0}}}},
    "v_up": {"trunk_down": {"poses": {"up": {"trunk": [-93, -88]}}}},
    "wall_push_up": {
        "too_shallow": {"poses": {"down": {"elbow": [28, 38]}}},
        "hips_first": {"poses": {"down": {"hip": [55, 70]}}},
    },
}
