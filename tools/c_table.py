"""What the tools share that write C tables."""


def rows(numbers):
    """Lines of numbers with commas, at most 100 columns wide."""
    line = "   "
    for number in numbers:
        word = f" {number},"
        if len(line) + len(word) > 100:
            yield line
            line = "   "
        line += word
    yield line
