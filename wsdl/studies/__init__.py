"""Studies: a program and its variants trained with several seeds, side by side, and compared.

    found = wsdl.study("digits.wsd", "train.npz", evaluation="test.npz", epochs=10, seeds=3, folder="study")
    found["pairs"].metrics["accuracy"]                  # mean and standard deviation
    found.differences["pairs"]["accuracy"]              # to the base, paired by seed, with the p of the test

`configurations` says what is compared, `trial` what one trial is, `processes` runs them, `record` is `study.json`.
"""

from __future__ import annotations

from wsdl.studies.compare import study
from wsdl.studies.results import Difference, Failure, Run, Study, Variant
from wsdl.studies.significance import Spread

__all__ = ["Difference", "Failure", "Run", "Spread", "Study", "Variant", "study"]
