"""A binary heap of numbers with a key, least number first, then least key, for numba kernels."""

from __future__ import annotations

from typing import Any

from numba import njit


@njit(nogil=True, cache=True)
def push(numbers: Any, keys: Any, used: int, number: float, key: int) -> int:
    """Put a number into the first ``used`` places; returns how many are used now."""
    k = used
    while k:
        up = (k - 1) >> 1
        if numbers[up] < number or (numbers[up] == number and keys[up] <= key):
            break
        numbers[k], keys[k] = numbers[up], keys[up]
        k = up
    numbers[k], keys[k] = number, key
    return used + 1


@njit(nogil=True, cache=True)
def pop(numbers: Any, keys: Any, used: int) -> int:
    """Take the least number, which is the first, out; returns how many places are used now."""
    used -= 1
    number, key = numbers[used], keys[used]
    k = 0
    while True:
        down = 2 * k + 1
        if down >= used:
            break
        other = down + 1
        if other < used and (
            numbers[other] < numbers[down]
            or (numbers[other] == numbers[down] and keys[other] < keys[down])
        ):
            down = other
        if number < numbers[down] or (number == numbers[down] and key <= keys[down]):
            break
        numbers[k], keys[k] = numbers[down], keys[down]
        k = down
    numbers[k], keys[k] = number, key
    return used
