"""Spectra of sound: the short-time Fourier transform, its inverse, and mel filters."""

from __future__ import annotations

from math import cos, pi, sin, sqrt

from wsdl.ir.dims import Dim, product
from wsdl.ir.graph import Value
from wsdl.ir.types import DType, TensorType
from wsdl.ops._define import Rules
from wsdl.ops._errors import OpError
from wsdl.ops._interfaces import Array, Emitter, NumPy, Ref
from wsdl.ops._lowering import cast_to, unsqueezed
from wsdl.ops._rules import agreed, floating, one_of, same_dtype
from wsdl.ops.build import Build
from wsdl.ops.fourier import half, is_worth_it, transformed, transformed_back
from wsdl.ops.mel_filters import SCALES, mel_filters

WINDOWS = {"hann": (0.5, 0.5), "hamming": (0.54, 0.46), "ones": (1.0, 0.0)}  # a - b * cos(2 * pi * i / length)
PADDINGS = ("reflect", "constant", "replicate", "circular")
LEAST = 1e-11  # of the sum of squared windows, by which `istft` divides; PyTorch's limit


def window_of(name: str, length: int, n_fft: int) -> list[float]:
    """The periodic window, with zeros on both sides up to `n_fft` elements."""
    constant, wave = WINDOWS[name]
    before = (n_fft - length) // 2
    inside = [constant - wave * cos(2 * pi * i / length) for i in range(length)]
    return [0.0] * before + inside + [0.0] * (n_fft - length - before)


def factors_of(
    n_fft: int, win_length: int, window: str, normalized: bool, inverse: bool
) -> tuple[list[float], list[float]]:
    """What each element of a frame is multiplied with, and each bin: those of the `inverse` are divided by `n_fft`, and
    doubled where a bin stands for two."""
    root, shape = sqrt(n_fft) if normalized else 1.0, window_of(window, win_length, n_fft)
    if not inverse:
        return [w / root for w in shape], [1.0] * half(n_fft)
    return shape, [(1.0 if 2 * k % n_fft == 0 else 2.0) * root / n_fft for k in range(half(n_fft))]


class SpectralBasis(
    Rules,
    name="spectral_basis",
    internal=True,
    half="makes",
    mixes={"result": slice(None)},
    steps_along=None,
    no_gradient="it depends on no tensor",
):
    """The windowed waves of a Fourier transform, the cosines, then the negative sines, [2 * bins, 1, n_fft].

    The weight of a convolution, with the factors of `factors_of`. ONNX Range, Mod and Gather.
    """

    n_fft: int
    win_length: int
    window: str
    normalized: bool = False
    inverse: bool = False
    dtype: DType = "f32"

    def infer(self) -> TensorType:
        return TensorType.of(self.dtype, [2 * half(self.n_fft), 1, self.n_fft])

    def factors(self) -> tuple[list[float], list[float]]:
        return factors_of(self.n_fft, self.win_length, self.window, self.normalized, self.inverse)

    def reference(self, np: NumPy) -> Array:
        window, bins = map(np.array, self.factors())
        angles = 2 * np.pi / self.n_fft * (np.arange(half(self.n_fft))[:, None] * np.arange(self.n_fft) % self.n_fft)
        waves = np.concatenate([bins[:, None] * np.cos(angles), -bins[:, None] * np.sin(angles)])
        return (waves * window)[:, None]

    def lower(self, e: Emitter) -> Ref:
        """Of tables of one period, so that the file has `n_fft` numbers in place of their square; ONNX Runtime computes
        the basis once, when it loads the file."""
        window, bins = self.factors()
        zero, one, count = (e.constant(number, "i64") for number in (0, 1, self.n_fft))
        rows = unsqueezed(e, e.node("Range", zero, e.constant(half(self.n_fft), "i64"), one), 1)
        at = e.node("Mod", e.node("Mul", rows, e.node("Range", zero, count, one)), count)
        angles = [2 * pi * i / self.n_fft for i in range(self.n_fft)]
        tables = [e.constant([wave(a) for a in angles], "f32") for wave in (cos, lambda a: -sin(a))]
        waves = e.node("Concat", *(e.node("Gather", table, at) for table in tables), axis=0)
        windowed = e.node("Mul", waves, e.constant(window, "f32"))
        if any(number != 1 for number in bins):
            windowed = e.node("Mul", windowed, e.constant([[number] for number in bins * 2], "f32"))
        basis = unsqueezed(e, windowed, 1)
        return basis if self.dtype == "f32" else cast_to(e, basis, self.dtype)


class _Spectral(Rules):
    """Base of both: PyTorch's arguments, under its names."""

    n_fft: int
    hop_length: int | None = None
    win_length: int | None = None
    window: str = "hann"
    center: bool = True
    normalized: bool = False

    def hop(self) -> int:
        return self.n_fft // 4 if self.hop_length is None else self.hop_length

    def length_of_window(self) -> int:
        return self.n_fft if self.win_length is None else self.win_length

    def check(self) -> None:
        one_of(self.window, WINDOWS, "window")
        for name, value, most in (
            ("n_fft", self.n_fft, None),
            ("hop_length", self.hop(), None),
            ("win_length", self.length_of_window(), self.n_fft),
        ):
            if value < 1 or (most is not None and value > most):
                up_to = "at least 1" if most is None else f"from 1 to {most}, as `n_fft` is"
                raise OpError(f"`{name}` must be {up_to}, but is {value}", argument=name, code="E0414")

    def basis(self, b: Build, x: TensorType, *, inverse: bool) -> Value:
        options = {"normalized": self.normalized, "inverse": inverse, "window": self.window, "dtype": x.dtype}
        return b("spectral_basis", n_fft=self.n_fft, win_length=self.length_of_window(), **options)

    def factors(self, b: Build, x: TensorType, *, inverse: bool) -> tuple[Value, Value]:
        """Of the elements of a frame, [n_fft], and of the bins, [n_fft // 2 + 1, 1]."""
        of_elements, of_bins = factors_of(self.n_fft, self.length_of_window(), self.window, self.normalized, inverse)
        columns = [[number] for number in of_bins]
        return b("constant", value=of_elements, dtype=x.dtype), b("constant", value=columns, dtype=x.dtype)


class Stft(_Spectral, name="stft", half="expanded", mixes={"x": [-1]}):
    """The short-time Fourier transform of `[..., t]`: real and imaginary parts, `[..., n_fft // 2 + 1, frames]` each.

    A frame is `n_fft` elements, every `hop_length` elements (by default `n_fft // 4`), times a periodic window: `hann`,
    `hamming` or `ones`, of `win_length` elements in its middle. With `center`, frame i is around element `i *
    hop_length`, and `x` is padded at its ends as `pad_mode` says (`pad`). `normalized` divides by the root of `n_fft`.
    PyTorch's `stft`, whose complex numbers are `torch.complex(re, im)`. ONNX Conv; MatMul for long frames.

        stft(x: f32[n, 400], n_fft=64) -> f32[n, 33, 26], f32[n, 33, 26]
    """

    pad_mode: str = "reflect"

    def infer(self, x: TensorType) -> tuple[TensorType, TensorType]:
        self.check()
        one_of(self.pad_mode, PADDINGS, "pad_mode")
        if not floating(x).rank:
            raise OpError(f"`x` must be [..., t], but is {x}", argument="x")
        around = self.n_fft // 2 if self.center else 0
        size = x.shape[-1]
        if self.pad_mode == "reflect" and size.constant is not None and around >= size.constant:
            what = f"`reflect` can't add {around} elements, half of `n_fft`, to the {size} of {x}"
            raise OpError(what, argument="n_fft", help='`pad_mode="constant"` adds zeros', code="E0414")
        room = size + (2 * around - self.n_fft)
        if room.constant is not None and room.constant < 0:
            what = f"a frame of {self.n_fft} elements doesn't fit into the {size} of {x}"
            raise OpError(what, argument="n_fft", code="E0414")
        part = x.with_shape([*x.shape[:-1], self.n_fft // 2 + 1, room // self.hop() + 1])
        return part, part

    def expand(self, b: Build, x: Value) -> list[Value]:
        *rest, size = x.type.shape
        lines = b("reshape", x, shape=[product(rest), 1, size])
        if self.center:
            sides = [self.n_fft // 2] * 2
            lines = b("pad", lines, widths=[[0, 0], [0, 0], sides], mode=self.pad_mode)
        frames = self.infer(x.type)[0].shape[-1]
        if is_worth_it(self.n_fft, self.hop()):
            window, _ = self.factors(b, x.type, inverse=False)
            spectra = transformed(
                b, b("mul", b("windows", b("squeeze", lines, axis=1), size=self.n_fft, step=self.hop()), window)
            )
        else:
            spectra = b("conv1d", lines, self.basis(b, x.type, inverse=False), stride=self.hop())
        parts = b.all("split", spectra, parts=2, axis=1)
        return [b("reshape", part, shape=[*rest, half(self.n_fft), frames]) for part in parts]


class Istft(_Spectral, name="istft", half="expanded", mixes={"re": [-2, -1], "im": [-2, -1]}):
    """The inverse of `stft`, from real and imaginary parts `[..., n_fft // 2 + 1, frames]`: `[..., length]`.

    Overlapping frames, each times the window again, are added, and divided by the sum of the squared windows. Without
    `length` the result ends with the last whole hop. PyTorch's `istft`. ONNX ConvTranspose; MatMul
    and Col2Im for long frames.

        istft(re: f32[n, 33, 26], im: f32[n, 33, 26], n_fft=64) -> f32[n, 400]
    """

    length: Dim | None = None

    def infer(self, re: TensorType, im: TensorType) -> TensorType:
        self.check()
        same_dtype("im", floating(re, "re"), floating(im, "im"))
        if re.rank < 2 or im.rank != re.rank:
            what = f"`re` and `im` must be [..., n_fft // 2 + 1, frames], but are {re} and {im}"
            raise OpError(what, argument="im")
        for axis, (a, b) in enumerate(zip(re.shape, im.shape, strict=True)):
            agreed(a, b, f"the sizes along axis {axis} of {re} and {im} must be equal", "im")
        bins = Dim.of(self.n_fft // 2 + 1)
        agreed(re.shape[-2], bins, f"a spectrum of {self.n_fft} elements has {bins} bins, but `re` is {re}", "n_fft")
        self._check_windows()
        return re.with_shape([*re.shape[:-2], self._end(re.shape[-1])])

    def _end(self, frames: Dim) -> Dim:
        """The number of elements of the result."""
        if self.length is not None:
            return Dim.of(self.length)
        return (frames - 1) * self.hop() + (self.n_fft - (self.n_fft // 2 * 2 if self.center else 0))

    def _check_windows(self) -> None:
        """Each element of the result has to lie under a window, or nothing is known of it."""
        hop, start = self.hop(), self.n_fft // 2 if self.center else 0
        squares = [w * w for w in window_of(self.window, self.length_of_window(), self.n_fft)]
        at_start = [sum(squares[at % hop : at + 1 : hop]) for at in range(start, self.n_fft)]
        at_end = [sum(squares[at::hop]) for at in range(self.n_fft - start)] if self.length is None else []
        within = [sum(squares[at::hop]) for at in range(hop)]
        if min([*at_start, *at_end, *within]) < LEAST:
            what = f"the windows leave gaps: there are elements of the result under no `{self.window}` window"
            help = "a shorter `hop_length`, a longer `win_length` or `center` closes them"
            raise OpError(what, argument="hop_length", help=help, code="E0414")

    def expand(self, b: Build, re: Value, im: Value) -> Value:
        *rest, bins, frames = re.type.shape
        both = b("reshape", b("stack", [re, im], axis=re.type.rank - 2), shape=[product(rest), 2, bins, frames])
        if is_worth_it(self.n_fft, self.hop()):
            of_elements, of_bins = self.factors(b, re.type, inverse=True)
            windowed = b("mul", transformed_back(b, b("mul", both, of_bins), self.n_fft), of_elements)
            size = (frames - 1) * self.hop() + self.n_fft
            columns = b("permute", windowed, axes=[0, 2, 1])
            added = b("fold", columns, size=[size], kernel=[self.n_fft], stride=self.hop())
        else:
            spectra = b("reshape", both, shape=[product(rest), 2 * bins, frames])
            added = b("conv_transpose1d", spectra, self.basis(b, re.type, inverse=True), stride=self.hop())
        squares = [w * w for w in window_of(self.window, self.length_of_window(), self.n_fft)]
        window = b("constant", value=[[squares]], dtype=re.type.dtype)
        ones = b("ones", shape=[1, 1, frames], dtype=re.type.dtype)
        under = b("conv_transpose1d", ones, window, stride=self.hop())
        start = Dim.of(self.n_fft // 2 if self.center else 0)
        stop = start + self._end(frames)
        size = added.type.shape[2]
        beyond = (stop - size).constant
        end = size if beyond is not None and beyond > 0 else stop
        parts = [b("slice", x, starts=[start], stops=[end], axes=[2]) for x in (added, under)]
        y = b("div", *parts)
        if beyond is not None and beyond > 0:
            y = b("pad", y, widths=[[0, 0], [0, 0], [0, beyond]])
        return b("reshape", y, shape=[*rest, stop - start])


# -- mel filters -------------------------------------------------------------------------------------------------------


class MelFilters(
    Rules,
    name="mel_filters",
    internal=True,
    half="makes",
    mixes={"result": slice(None)},
    steps_along=None,
    no_gradient="it depends on no tensor",
):
    """The weight of each bin of a spectrum in each mel band, [n_mels, bins]. An ONNX initializer."""

    bins: int
    n_mels: int
    sample_rate: float
    f_min: float
    f_max: float
    mel_scale: str
    norm: str | None
    dtype: DType = "f32"

    def filters(self) -> list[list[float]]:
        band = (self.f_min, self.f_max)
        return mel_filters(self.bins, self.n_mels, self.sample_rate, band, self.mel_scale, self.norm is not None)

    def infer(self) -> TensorType:
        return TensorType.of(self.dtype, [self.n_mels, self.bins])

    def reference(self, np: NumPy) -> Array:
        return np.array(self.filters())

    def lower(self, e: Emitter) -> Ref:
        return e.constant(self.filters(), self.dtype)


class Mel(Rules, name="mel", half="expanded", mixes={"x": [-2]}):
    """A spectrum `[..., bins, frames]` in mel bands `[..., n_mels, frames]`: triangles over the bins, weighed sums.

    `x` is the power (or magnitude) of `stft`, whose bins reach up to half of `sample_rate`; the bands cover `f_min` to
    `f_max` Hz, by default up to that. `mel_scale` is `htk` (`2595 * log10(1 + f / 700)`) or `slaney` (linear below
    1000 Hz); `norm="slaney"` divides a triangle by its width. Torchaudio's `MelScale`; `librosa.filters.mel` has
    `slaney` for both. ONNX MatMul.

        mel(x: f32[n, 201, t], n_mels=80, sample_rate=16000) -> f32[n, 80, t]
    """

    n_mels: int
    sample_rate: float
    f_min: float = 0.0
    f_max: float | None = None
    mel_scale: str = "htk"
    norm: str | None = None

    def infer(self, x: TensorType) -> TensorType:
        if floating(x).rank < 2 or x.shape[-2].constant is None:
            raise OpError(f"`x` must be [..., bins, frames] with a known number of bins, but is {x}", argument="x")
        one_of(self.mel_scale, SCALES, "mel_scale")
        if self.norm is not None:
            one_of(self.norm, ("slaney",), "norm")
        if self.n_mels < 1:
            raise OpError(f"`n_mels` must be at least 1, but is {self.n_mels}", argument="n_mels", code="E0414")
        if not 0 <= self.f_min < self._top() <= self.sample_rate / 2:
            what = f"bands can't be from {self.f_min:g} to {self._top():g} Hz: up to half of `sample_rate`, and upwards"
            raise OpError(what, argument="f_max", code="E0414")
        return x.with_shape([*x.shape[:-2], self.n_mels, x.shape[-1]])

    def _top(self) -> float:
        return self.sample_rate / 2 if self.f_max is None else self.f_max

    def expand(self, b: Build, x: Value) -> Value:
        bins = x.type.shape[-2].constant
        ends = {"f_min": self.f_min, "f_max": self._top()}
        options = {"mel_scale": self.mel_scale, "norm": self.norm, "dtype": x.type.dtype, **ends}
        return b("matmul", b("mel_filters", bins=bins, n_mels=self.n_mels, sample_rate=self.sample_rate, **options), x)
