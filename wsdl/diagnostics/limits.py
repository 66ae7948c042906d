"""How much a program may ask for: all limits of the language in one place, listed in `docs/language.md`.

The time and memory of a check are bounded by the size of the source and of the graph that it asks for. Past one of
these limits it refuses, and says which line asks for how much.
"""

SOURCE_BYTES = 2_000_000  # of one file
TOKENS = 250_000  # words, signs and line breaks of one file: some 10,000 lines, 5 to 10 s of parsing
IMPORTS = 100  # files that import each other, one inside the other
DEPTH = 100  # levels of brackets and operators; what comes after the parser recurses
DIGITS = 100  # of a number; more are too large for any dtype
PROBLEMS = 100  # shown of one file
MISTAKES = 20  # reported in one declaration

REPETITIONS = 10_000  # of one `for`, and layers of one array
STEPS = 100_000  # operations, layers, parameters (three each) and repetitions together: 10 s of checking
NESTING = 64  # blocks or constants inside each other
SCANS = 16  # inside each other; what reads an ONNX file recurses, and Protocol Buffers do so for 32
ELEMENTS = 100_000  # of a list, those of the lists in it included
LIST_DEPTH = 16  # lists inside each other
SELECTED = 100_000  # layers and parameters that `share`, `freeze` and `load` name, each as often as it is named
FACTORS = 1_000  # names and numbers in the sum of products that a size is
SIZE_TEXT = 2_000  # characters of a division that doesn't come out even
COEFFICIENT = 2**1024  # of a size
DIMENSION = 2**62  # what no dimension of a tensor reaches; ONNX counts in 64 bits
AXES = 64  # of a tensor in a file, as many as NumPy's have
PARAMETER = 2**40  # elements of one parameter
ORTHOGONAL = 2**35  # elements of an orthogonal initial value, times its smaller side: 5 s and 0.5 GB on one core

HEADER = 25_000_000  # bytes of what a file of weights lists
SLOTS = 500_000  # that the metadata of an ONNX file name
PATH = 10_000  # characters of one of them
