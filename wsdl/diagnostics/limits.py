"""All limits of the language in one place, listed in `docs/language.md`.

Time and memory of a check are bounded by the size of the source and of the graph that it describes. A program that
exceeds one of these limits is rejected with an error at the line that exceeds it.
"""

SOURCE_BYTES = 2_000_000  # bytes of one file
TOKENS = 250_000  # tokens of one file: some 10,000 lines, 5 to 10 s of parsing
IMPORTS = 100  # depth of imports
DEPTH = 100  # levels of brackets and operators; the passes after the parser are recursive
DIGITS = 100  # digits of a number; more are too large for any dtype
PROBLEMS = 100  # diagnostics shown for one file
MISTAKES = 20  # errors reported in one declaration

REPETITIONS = 10_000  # iterations of one `for`, and layers of one array
STEPS = 100_000  # operations, layers, parameters (three each) and iterations together: 10 s of checking
NESTING = 64  # depth of blocks or constants that use each other
SCANS = 16  # depth of nested scans; readers of ONNX files are recursive, and Protocol Buffers stop at 32
ELEMENTS = 100_000  # elements of a list, with those of nested lists
LIST_DEPTH = 16  # depth of nested lists
SELECTED = 100_000  # layers and parameters that `share`, `freeze` and `load` select, counted each time they are named
FACTORS = 1_000  # terms and factors of a dimension in normal form
SIZE_TEXT = 2_000  # characters of a division with a remainder
COEFFICIENT = 2**1024  # of a term of a dimension
DIMENSION = 2**62  # exclusive limit of a dimension; ONNX stores dimensions in 64 bits
AXES = 64  # axes of a tensor in a file, as in NumPy
PARAMETER = 2**40  # elements of one parameter
ORTHOGONAL = 2**35  # elements of an orthogonal initial value times its smaller dimension: 5 s and 0.5 GB on one core

HEADER = 25_000_000  # bytes of the header of a weights file
SLOTS = 500_000  # slots named in the metadata of an ONNX file
PATH = 10_000  # characters of the path of a slot
PICKLE = 100_000_000  # bytes of the pickle in a file of PyTorch, without the tensors
PICKLE_STEPS = 5_000_000  # opcodes of a pickle, and values in it: 10 s
