"""Names of PyTorch, Keras and NumPy, with their WSDL equivalents."""

from __future__ import annotations

# Blocks, operations and dtypes with another name in WSDL.
ELSEWHERE = {
    "Linear": "Dense", "FullyConnected": "Dense", "MultiheadAttention": "Attention", "MultiHeadAttention": "Attention",
    "BatchNorm1d": "BatchNorm", "BatchNorm2d": "BatchNorm", "BatchNorm3d": "BatchNorm",
    "BatchNormalization": "BatchNorm", "LayerNormalization": "LayerNorm", "InstanceNorm1d": "InstanceNorm",
    "InstanceNorm2d": "InstanceNorm", "InstanceNorm3d": "InstanceNorm", "Conv2DTranspose": "ConvTranspose2d",
    "SimpleRNN": "RNN", "TransformerEncoderLayer": "EncoderLayer", "BasicBlock": "ResNetBlock",
    "ConvNormAct": "ConvNorm", "ConvBNReLU": "ConvNorm", "Conv2dNormActivation": "ConvNorm",
    "MBConv": "InvertedResidual", "SqueezeExcitation": "SqueezeExcite", "SEModule": "SqueezeExcite",
    "CNBlock": "ConvNeXtBlock",
    "MaxPool1d": "max_pool", "MaxPool2d": "max_pool", "MaxPool3d": "max_pool", "MaxPooling2D": "max_pool",
    "AvgPool1d": "avg_pool", "AvgPool2d": "avg_pool", "AvgPool3d": "avg_pool", "AveragePooling2D": "avg_pool",
    "MaxPooling1D": "max_pool", "MaxPooling3D": "max_pool", "AveragePooling1D": "avg_pool",
    "AveragePooling3D": "avg_pool", "GlobalAveragePooling1D": "global_avg_pool",
    "GlobalAveragePooling2D": "global_avg_pool", "AdaptiveAvgPool1d": "adaptive_avg_pool",
    "AdaptiveAvgPool2d": "adaptive_avg_pool", "AdaptiveMaxPool1d": "adaptive_max_pool",
    "AdaptiveMaxPool2d": "adaptive_max_pool", "Unfold": "unfold", "Fold": "fold",
    "MelScale": "mel", "melscale_fbanks": "mel", "batched_nms": "nms", "non_max_suppression": "nms", "im2col": "unfold",
    "col2im": "fold", "Upsample": "resize", "UpSampling2D": "resize", "ZeroPadding2D": "pad",
    "SiLU": "silu", "LeakyReLU": "leaky_relu", "Hardswish": "hardswish", "LogSoftmax": "log_softmax",
    "Dropout1d": "Dropout", "Dropout2d": "Dropout", "Dropout3d": "Dropout", "SpatialDropout1D": "Dropout",
    "SpatialDropout2D": "Dropout", "DropPath": "Dropout", "StochasticDepth": "Dropout",
    "cat": "concat", "concatenate": "concat", "Concatenate": "concat", "chunk": "split",
    "view": "reshape", "swish": "silu", "clamp": "clip", "dot": "matmul", "average": "mean", "interpolate": "resize",
    "detach": "stop_gradient", "cumulative_sum": "cumsum", "top_k": "topk", "expand_dims": "unsqueeze",
    "repeat": "tile", "hard_sigmoid": "hardsigmoid", "hard_swish": "hardswish", "log_sigmoid": "logsigmoid",
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2", "arcsinh": "asinh", "arccosh": "acosh",
    "arctanh": "atanh", "absolute": "abs", "multiply": "mul", "subtract": "sub", "divide": "div", "remainder": "mod",
    "negative": "neg", "power": "pow", "fix": "trunc", "is_nan": "isnan", "is_inf": "isinf", "is_finite": "isfinite",
    "CrossEntropyLoss": "cross_entropy", "NLLLoss": "nll", "nll_loss": "nll", "MSELoss": "mse", "mse_loss": "mse",
    "L1Loss": "mae", "l1_loss": "mae", "SmoothL1Loss": "huber", "smooth_l1_loss": "huber", "HuberLoss": "huber",
    "huber_loss": "huber", "BCEWithLogitsLoss": "bce_with_logits",
    "binary_cross_entropy_with_logits": "bce_with_logits",
    "KLDivLoss": "kl_div", "CosineEmbeddingLoss": "cosine_embedding", "TripletMarginLoss": "triplet",
    "triplet_margin_loss": "triplet", "scaled_dot_product_attention": "attention",
    "bmm": "matmul", "mm": "matmul", "hstack": "concat", "tensor_split": "split",
    "float32": "f32", "float": "f32", "float64": "f64", "double": "f64", "float16": "f16", "half": "f16",
    "bfloat16": "bf16", "int8": "i8", "int16": "i16", "int32": "i32", "int": "i64", "int64": "i64", "long": "i64",
    "uint8": "u8", "byte": "u8",
}  # fmt: skip

# Functions that are expressions in WSDL; `x` is the operand.
WRITTEN = {
    **dict.fromkeys(("hardtanh", "Hardtanh"), "clip(x, -1.0, 1.0)"),
    **dict.fromkeys(("tanhshrink", "Tanhshrink"), "x - tanh(x)"),
    **dict.fromkeys(("hardshrink", "Hardshrink"), "where(abs(x) > 0.5, x, 0.0)"),
    **dict.fromkeys(("softshrink", "Softshrink"), "sign(x) * relu(abs(x) - 0.5)"),
    **dict.fromkeys(("celu", "CELU"), "elu(x)"),
    "square": "x ** 2", "reciprocal": "1.0 / x", "grad": "gradient(sum(tanh(x)), x)",
    "exp2": "2.0 ** x", "erfc": "1.0 - erf(x)", "logit": "log(x) - log(1.0 - x)", "frac": "x - trunc(x)",
    "fmod": "x - 2.0 * trunc(x / 2.0)", "hypot": "sqrt(x ** 2 + 2.0 ** 2)", "lerp": "x + 0.25 * (2.0 - x)",
    "sinc": "where(x == 0.0, 1.0, sin(pi * x) / (pi * x))", "xlogy": "where(x == 0.0, 0.0, x * log(2.0))",
    "deg2rad": "x * (pi / 180.0)", "rad2deg": "x * (180.0 / pi)", "copysign": "where(x < 0.0, -2.0, 2.0)",
    "median": "quantile(x, 0.5)", "digitize": "bucketize(x, [0.0, 1.0], right=true)",
    "searchsorted": "bucketize(x, [0.0, 1.0])", "nan_to_num": "where(isnan(x), 0.0, x)",
    "isclose": "abs(x - 2.0) < 1e-3", "logical_xor": "(x > 0.0) != (x > 2.0)",
    "ones_like": "0.0 * x + 1.0", "zeros_like": "0.0 * x", "eye": "one_hot(arange(4), 4)",
    "amax": "max(x, axis=0)", "amin": "min(x, axis=0)",
    "any": "max(x > 0.0)", "all": "min(x > 0.0)", "masked_fill": "where(x > 0.0, 0.0, x)",
    "swapaxes": "x.permute(1, 0)", "norm": "sqrt(sum(x ** 2))", "outer": "x.reshape(-1, 1) * x.reshape(1, -1)",
}  # fmt: skip

# Names in every PyTorch program, and their replacement.
NO_NAMES = {
    **dict.fromkeys(
        ("nn", "torch", "F", "tf", "keras", "np", "numpy", "math"),
        "there are no modules: write blocks and operations directly, `Dense(4)`, `relu(x)`",
    ),
    "dict": "there are no dictionaries; results have names: `return mean=mean(x), spread=var(x)`",
    **dict.fromkeys(("tuple", "set"), "the only collections are lists: `[1, 2]`"),
    "self": "use the layers of a block directly by name: `fc(x)`",
    "ModuleList": "equal layers are an array, `layer blocks[12] = Block()`; others a list, `layer pair = [A(), B()]`",
    "Parameter": "declare a parameter: `param weight: [units, d] = normal(0.02)`",
}  # fmt: skip

# Arguments of layers of other frameworks, and their replacement.
NO_ARGUMENTS = {
    **dict.fromkeys(
        ("in_features", "in_channels", "input_shape", "input_dim", "input_size", "embed_dim", "d_model",
         "normalized_shape", "num_features"),
        "leave it out: the input size is inferred where the layer is applied",
    ),
    **dict.fromkeys(("activation", "nonlinearity"), "apply it after the layer: `x |> Dense(4) |> relu`"),
    **dict.fromkeys(
        ("kernel_initializer", "bias_initializer"), "initial values are those of the block; write one with a `param`"
    ),
    "batch_first": "leave it out: the batch is always the first axis",
    "return_sequences": "leave it out: all states are returned, the last is `states[:, -1]`",
    "trainable": "leave it out, and write `freeze` with the path of the layer",
    "device": "leave it out: select the device when running, `--device cuda`",
    "dtype": "leave it out: parameters are f32, and `--dtype` compiles them to another dtype",
}  # fmt: skip
ARGUMENTS_ELSEWHERE = {
    "out_features": "units", "hidden_size": "units", "out_channels": "channels", "filters": "channels",
    "kernel_size": "kernel", "strides": "stride", "padding": "pad", "dilation_rate": "dilation",
    "output_padding": "output_pad", "use_bias": "bias", "num_layers": "layers", "num_heads": "heads", "nhead": "heads",
    "dim_feedforward": "width", "num_groups": "groups", "num_embeddings": "count", "embedding_dim": "width",
    "input_vocab": "count", "output_dim": "width", "epsilon": "eps", "rate": "p", "layer_norm_eps": "eps",
    "go_backwards": "reverse", "attn_mask": "mask",
}  # fmt: skip
