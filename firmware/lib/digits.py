"""Numbers as text, written into buffers that are there already: no strings are made, nothing is allocated."""

from micropython import const

_ZERO = const(0x30)
_MINUS = const(0x2D)
_POINT = const(0x2E)


def put_bytes(buffer: bytearray, at: int, data: bytes) -> int:
    """Write `data` at `at`; the place after it. Raises IndexError where the buffer ends before."""
    for byte in data:
        buffer[at] = byte
        at += 1
    return at


def put_int(buffer: bytearray, at: int, number: int) -> int:
    """Write a whole number in decimal digits; the place after it. Raises IndexError where the buffer ends before."""
    if number < 0:
        buffer[at] = _MINUS
        at += 1
        number = -number
    digits = 1
    rest = number
    while rest > 9:
        rest //= 10
        digits += 1
    end = at + digits
    place = end
    while place > at:
        place -= 1
        buffer[place] = _ZERO + number % 10
        number //= 10
    return end


def put_hundredths(buffer: bytearray, at: int, hundredths: int) -> int:
    """Write 2345 as 23.45, 2340 as 23.4; the place after it. Raises IndexError where the buffer ends before."""
    if hundredths < 0:
        buffer[at] = _MINUS
        at += 1
        hundredths = -hundredths
    at = put_int(buffer, at, hundredths // 100)
    buffer[at] = _POINT
    buffer[at + 1] = _ZERO + hundredths // 10 % 10
    if hundredths % 10 == 0:
        return at + 2
    buffer[at + 2] = _ZERO + hundredths % 10
    return at + 3


def put_padded(buffer: bytearray, at: int, number: int, digits: int) -> int:
    """Write a number from 0 on in exactly so many digits, with zeros before; the place after it."""
    place = at + digits
    while place > at:
        place -= 1
        buffer[place] = _ZERO + number % 10
        number //= 10
    return at + digits
