"""Many machines by Ray: `pip install 'wsdl[ray]'`.

    import wsdl.ray

    wsdl.study("digits.wsd", …, workers=wsdl.ray.Workers(4))        # trials on four workers

`Workers` says how many processes run and where: on this machine, or on the cluster at an address. Nothing else of wsdl
imports Ray.
"""

from __future__ import annotations

from wsdl.ray.workers import Workers

__all__ = ["Workers"]
