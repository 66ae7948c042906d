"""Many machines by Ray: `pip install 'wsdl[ray]'`.

    import wsdl.ray
    from wsdl import api

    workers = wsdl.ray.Workers(4)
    api.run_rows("digits.onnx", "rows.parquet", "out", workers=workers)     # rows of files
    api.train("digits.wsd", "train.npz", api.Plan(3), workers=workers)      # one training
    wsdl.ray.fit("digits.wsd", arrays, workers, folder="run", epochs=3)     # one on arrays in memory
    wsdl.study("digits.wsd", …, workers=workers)                            # trials of a study
    wsdl.ray.predict("digits.onnx", dataset, workers)                       # a step of a Ray Dataset

`Workers` says how many processes run and where: on this machine, or on the cluster at an address. Nothing else of wsdl
imports Ray.
"""

from __future__ import annotations

from wsdl.ray.datasets import predict
from wsdl.ray.fitting import fit
from wsdl.ray.workers import Workers

__all__ = ["Workers", "fit", "predict"]
