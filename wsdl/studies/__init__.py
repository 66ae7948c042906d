"""Studies: a program and its variants trained with several seeds, side by side, and compared.

    study = wsdl.study("digits.wsd", "train.npz", evaluation="test.npz", epochs=10, seeds=3, folder="study")
    study["pairs"].metrics["accuracy"]                  # mean and standard deviation
    study.differences["pairs"]["accuracy"]              # from the base, paired by seed, with the p value of the test

`configurations` lists the programs that are compared, `trial` runs one training, `processes` runs many in parallel,
`record` reads and writes `study.json`.
"""

from __future__ import annotations

from wsdl.studies.compare import study
from wsdl.studies.results import Difference, Failure, Run, Study, Variant
from wsdl.studies.significance import Spread

__all__ = ["Difference", "Failure", "Run", "Spread", "Study", "Variant", "study"]
