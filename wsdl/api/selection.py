"""Selects the models and trainings of a program by name; where a name is missing or wrong, an error that lists them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from wsdl.diagnostics import CompileError, Diagnostic
from wsdl.diagnostics.suggest import nearest
from wsdl.ir.stages import Storage
from wsdl.ir.target import Precision


@dataclass(frozen=True)
class Selection:
    """The names of a program: its `models`, its `trainings` with the model of each (none in 16 bits), and the trainings
    that take `turns`. All methods raise `CompileError`."""

    file: str
    dtype: Precision
    models: Sequence[str]
    trainings: Mapping[str, str]
    turns: Sequence[str]

    @classmethod
    def of(cls, storage: Storage, file: str, dtype: Precision) -> Selection:
        trainings = storage.trainings if dtype == "f32" else {}
        turns = storage.checked.turns
        models = {name: training.model for name, training in trainings.items()}
        return cls(file, dtype, list(storage.models), models, [] if turns is None else list(turns.counts))

    def model(self, name: str | None) -> str:
        """The name of a model; without a name the only one."""
        if name is None and len(self.models) == 1:
            return self.models[0]
        if name is None or name not in self.models:
            raise CompileError([self._no_such(name, self.models, "models")])
        return name

    def training(self, name: str | None) -> str:
        """The name of a training: that of the model where it has no other; without a name the only one."""
        names = list(self.trainings)
        kind = "models" if set(names) <= set(self.models) else "trainings"
        if name is None and len(names) == 1:
            return names[0]
        if name is None and len(names) > 1:
            none = self._no_such(None, names, kind)
            turns = f"let them take turns: `turns {{ {', '.join(f'{n} 1' for n in names)} }}`"
            raise CompileError([none if self.turns else replace(none, help=f"{none.help}, or {turns}")])
        if name is not None and name in names:
            return name
        known = list(dict.fromkeys([*names, *self.models]))
        if name is not None and name not in known:
            raise CompileError([self._no_such(name, known, kind)])
        model = name if name is not None else self.models[0]
        own = [training for training, of in self.trainings.items() if of == model]
        if own:
            listed = ", ".join(f"`{n}`" for n in own)
            message = f"`{model}` is a model, and none of its trainings has this name"
            raise CompileError([self._wrong(message, f"select {'one of ' if len(own) > 1 else ''}{listed}")])
        raise self.untrained([model])

    def several_trainings(self, names: Sequence[str]) -> list[str]:
        """The names of at least two trainings; without names those that take turns."""
        chosen = [self.training(name) for name in names or self.turns]
        if len(set(chosen)) < 2:
            message = "a state that several trainings have needs the names of at least two"
            examples = ", ".join(map(repr, list(self.trainings)[:2]))
            help = f"name them, `program.trainers({examples})`, or write `turns`"
            raise CompileError([self._wrong(message, help)])
        return chosen

    def untrained(self, models: Sequence[str]) -> CompileError:
        """The error that models can't be trained: in 16 bits, or without a `train`."""
        if self.dtype != "f32":
            message = f"a program in {self.dtype} can't be trained"
            help = "train it in f32, and compile it with the trained weights"
            return CompileError([Diagnostic("E0822", message, file=self.file, help=help)])
        help = "declare it as `train MODEL(targets) { loss …; optimizer … }`"
        message = "there is no `train` declaration" + (f" for `{models[0]}`" if len(models) == 1 else "")
        return CompileError([Diagnostic("E0820", message, file=self.file, help=help)])

    def _no_such(self, name: str | None, names: Sequence[str], kind: str) -> Diagnostic:
        listed = ", ".join(f"`{n}`" for n in names)
        if name is None:
            return self._wrong(f"the file has {len(names)} {kind}, and none is selected", f"select one of {listed}")
        close = nearest(name, names)
        help = f"did you mean `{close}`?" if close else f"the {kind} are {listed}"
        return self._wrong(f"there is no {kind.removesuffix('s')} `{name}`", help)

    def _wrong(self, message: str, help: str) -> Diagnostic:
        return Diagnostic("E0705", message, file=self.file, help=help)
