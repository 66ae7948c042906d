"""The pipeline of a model that is compiled to be run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from wsdl.differentiation.expand_gradients import expand_gradients
from wsdl.ir.graph import Lowered
from wsdl.ir.stages import Storage
from wsdl.ir.target import DEFAULT, Target
from wsdl.rewrite.batch_norm_to_conv import batch_norm_to_conv
from wsdl.rewrite.contract_sums import contract_sums
from wsdl.rewrite.dedupe import dedupe
from wsdl.rewrite.drop_stop_gradients import drop_stop_gradients
from wsdl.rewrite.fold_batch_norm import fold_batch_norm
from wsdl.rewrite.fuse_recurrent import fuse_recurrent
from wsdl.rewrite.lower_precision import lower_precision
from wsdl.rewrite.prune import prune
from wsdl.rewrite.push_products import push_products
from wsdl.rewrite.roll_loops import roll_loops
from wsdl.rewrite.share_products import share_products
from wsdl.sharing.fold_views import fold_views
from wsdl.sharing.materialize import written_out
from wsdl.sharing.read_stored import read_stored

Pass: TypeAlias = "Callable[[Lowered], object]"

INFERENCE: tuple[Pass, ...] = (
    expand_gradients,
    drop_stop_gradients,
    contract_sums,
    push_products,
    lower_precision,
    fold_views,
    fuse_recurrent,
    share_products,
    roll_loops,
    fold_batch_norm,
    batch_norm_to_conv,
    dedupe,
    prune,
)


def lower(storage: Storage, target: Target = DEFAULT) -> Lowered:
    """The models for a target, ready to be emitted: in its precision, views folded, recurrent layers fused, loops
    rolled, common subexpressions eliminated."""
    program = read_stored(written_out(storage, target), target)
    for run_on in INFERENCE:
        run_on(program)
    return program
