;;; wsdl-mode.el --- Programs in WSDL  -*- lexical-binding: t; -*-

;; Version: 0.1
;; Package-Requires: ((emacs "27.1"))

;;; Commentary:

;; Colors, comments and indentation for .wsd files, and the language server by Eglot (part of Emacs 29).

;;; Code:

;; BEGIN words
(defconst wsdl--reserved-words
  '("else" "emit" "for" "if" "let" "param" "return" "scan" "share"))
(defconst wsdl--contextual-words
  '("all" "along" "as" "at" "block" "carry" "eval" "every" "except" "fit" "freeze" "from" "group" "ignore"
    "import" "into" "layer" "limit" "load" "loss" "lr" "member" "metric" "mix" "model" "nodecay" "of" "optimizer"
    "per" "require" "reverse" "shared" "state" "train" "turns" "until" "update" "variant" "weight" "with"))
(defconst wsdl--operators-words
  '("and" "in" "not" "or"))
(defconst wsdl--constants-words
  '("false" "none" "true"))
(defconst wsdl--types-words
  '("bf16" "block" "bool" "f16" "f32" "f64" "float" "i16" "i32" "i64" "i8" "int" "layer" "list" "string" "u8"))
(defconst wsdl--blocks-words
  '("Adam" "AdamW" "Attention" "Basis" "BatchNorm" "Bidirectional" "Bilinear" "Bottleneck" "Conv1d" "Conv2d"
    "Conv3d" "ConvNeXtBlock" "ConvNorm" "ConvTranspose1d" "ConvTranspose2d" "CrossAttention" "DecoderLayer"
    "Delta" "Dense" "DepthwiseConv2d" "Detections" "Dropout" "DynamicConv2d" "Embedding" "EncoderLayer"
    "FeaturePyramid" "FeedForward" "GRU" "GRUCell" "GatedFeedForward" "GroupNorm" "Hashed" "InstanceNorm"
    "InvertedResidual" "LSTM" "LSTMCell" "LayerNorm" "LayerNorm2d" "Lion" "Mix" "Mixture" "PReLU"
    "PositionalEncoding" "RMSNorm" "RMSprop" "RNN" "RNNCell" "RegNetBlock" "RelativeBias" "ResNetBlock" "Residual"
    "RotaryEncoding" "SGD" "Scaled" "Sequential" "Soft" "SqueezeExcite" "Switch" "Symmetric" "TransformerLayer"
    "WeightNorm"))
(defconst wsdl--functions-words
  '("abs" "acos" "acosh" "adaptive_avg_pool" "adaptive_max_pool" "add" "arange" "argmax" "argmin" "argsort" "asin"
    "asinh" "atan" "atan2" "atanh" "attention" "attention_weights" "avg_pool" "batch_norm" "bce_with_logits"
    "bucketize" "cast" "ceil" "clip" "concat" "constant" "contrastive" "conv1d" "conv2d" "conv3d"
    "conv_transpose1d" "conv_transpose2d" "conv_transpose3d" "cos" "cosh" "cosine" "cosine_embedding"
    "cosine_similarity" "cross_entropy" "cumprod" "cumsum" "div" "dropout" "einsum" "elu" "equal" "erf" "exp"
    "expand" "expm1" "flatten" "flip" "floor" "floordiv" "fold" "frozen" "full" "gather" "gelu" "global_avg_pool"
    "gradient" "greater" "greater_equal" "grid_sample" "group_norm" "hardsigmoid" "hardswish" "huber" "info_nce"
    "instance_norm" "isfinite" "isinf" "isnan" "istft" "kaiming_normal" "kaiming_uniform" "kl_div" "l2_normalize"
    "layer_norm" "leaky_relu" "len" "less" "less_equal" "linear" "log" "log10" "log1p" "log2" "log_softmax"
    "logaddexp" "logical_and" "logical_not" "logical_or" "logsigmoid" "logsumexp" "mae" "matmul" "max" "max_pool"
    "maximum" "mean" "mel" "min" "minimum" "mish" "mod" "mse" "mul" "neg" "nll" "nms" "normal" "not_equal"
    "one_hot" "ones" "orthogonal" "pad" "partition" "per_axis" "permute" "pixel_shuffle" "pow" "prod" "quantile"
    "random_bernoulli" "random_normal" "random_uniform" "relu" "relu6" "reshape" "resize" "rms_norm" "roll"
    "round" "rsqrt" "scatter_add" "scatter_add_along" "scatter_max" "scatter_mean" "scatter_min" "segment_max"
    "segment_mean" "segment_min" "segment_softmax" "segment_sum" "selu" "sigmoid" "sign" "silu" "sin" "sinh"
    "slice" "softmax" "softplus" "softsign" "sort" "split" "sqrt" "squeeze" "stack" "std" "step" "stft"
    "stop_gradient" "sub" "sum" "take_along" "tan" "tanh" "tile" "topk" "transpose" "tril" "triplet" "triu"
    "trunc" "trunc_normal" "unfold" "uniform" "unpartition" "unsqueeze" "var" "where" "windows" "xavier_normal"
    "xavier_uniform" "zeros"))
(defconst wsdl--infix-words
  '("all" "along" "as" "at" "eval" "every" "except" "fit" "in" "into" "nodecay" "of" "per" "with"))
;; END words

(defconst wsdl--contextual
  (concat "\\_<" (regexp-opt wsdl--contextual-words t) "[ \t]+\\([[:alpha:]_\"][[:alnum:]_]*\\)")
  "A contextual word is a keyword where a name or a string follows.")

(defun wsdl--contextual-matcher (limit)
  "Find the next contextual word before LIMIT that is a keyword."
  (let (found)
    (while (and (not found) (re-search-forward wsdl--contextual limit t))
      (goto-char (match-end 1))
      (setq found (and (not (eq (char-before (match-beginning 1)) ?.))
                       (not (member (match-string-no-properties 2) wsdl--infix-words)))))
    found))

(defconst wsdl--font-lock
  `((,(regexp-opt wsdl--reserved-words 'symbols) . font-lock-keyword-face)
    (wsdl--contextual-matcher 1 font-lock-keyword-face)
    (,(regexp-opt wsdl--operators-words 'symbols) . font-lock-keyword-face)
    (,(regexp-opt wsdl--constants-words 'symbols) . font-lock-constant-face)
    (,(concat "[:|] *" (regexp-opt wsdl--types-words 'symbols)) 1 font-lock-type-face)
    ("\\_<\\(?:block\\|model\\|train\\|variant\\)[ \t]+\\([[:alpha:]_][[:alnum:]_]*\\)" 1 font-lock-function-name-face)
    ("\\_<layer[ \t]+\\([[:alpha:]_][[:alnum:]_]*\\)" 1 font-lock-variable-name-face)
    (,(regexp-opt wsdl--blocks-words 'symbols) . font-lock-type-face)
    (,(concat (regexp-opt wsdl--functions-words 'symbols) "(") 1 font-lock-builtin-face)
    (,(concat "|>[ \t]*" (regexp-opt wsdl--functions-words 'symbols)) 1 font-lock-builtin-face)))

(defvar wsdl-mode-syntax-table
  (let ((table (make-syntax-table)))
    (modify-syntax-entry ?# "<" table)
    (modify-syntax-entry ?\n ">" table)
    (modify-syntax-entry ?_ "_" table)
    (dolist (sign (string-to-list ".=+-*/%@<>|!"))
      (modify-syntax-entry sign "." table))
    table))

(defun wsdl-indent-line ()
  "Indent by four columns for each bracket that is open before the line."
  (interactive)
  (let* ((depth (save-excursion (back-to-indentation)
                                (- (car (syntax-ppss)) (if (looking-at "[])}]") 1 0))))
         (column (* 4 (max 0 depth))))
    (if (<= (current-column) (current-indentation))
        (indent-line-to column)
      (save-excursion (indent-line-to column)))))

;;;###autoload
(define-derived-mode wsdl-mode prog-mode "WSDL"
  "Major mode for programs in WSDL."
  (setq-local comment-start "# ")
  (setq-local comment-start-skip "#+[ \t]*")
  (setq-local indent-tabs-mode nil)
  (setq-local indent-line-function #'wsdl-indent-line)
  (setq-local font-lock-defaults '(wsdl--font-lock)))

;;;###autoload
(add-to-list 'auto-mode-alist '("\\.wsd\\'" . wsdl-mode))

(with-eval-after-load 'eglot
  (defvar eglot-server-programs)
  (add-to-list 'eglot-server-programs '(wsdl-mode . ("wsdl" "lsp"))))

(provide 'wsdl-mode)
;;; wsdl-mode.el ends here
