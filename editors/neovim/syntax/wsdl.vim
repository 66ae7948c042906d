" Colors for programs in WSDL. `make golden` writes the lists of words.

if exists("b:current_syntax")
  finish
endif

syntax match wsdlName /\<\h\w*\>/
syntax match wsdlBlock /\<\u\w*\l\w*\>/
" BEGIN words
syntax keyword wsdlKeyword else emit for if let param return scan share
syntax keyword wsdlWordOperator and in not or
syntax keyword wsdlConstant false none true
syntax keyword wsdlStandardBlock Adam AdamW Attention Basis BatchNorm Bidirectional Bilinear Bottleneck Conv1d Conv2d Conv3d ConvNeXtBlock ConvNorm ConvTranspose1d ConvTranspose2d CrossAttention DecoderLayer Delta Dense DepthwiseConv2d Detections Dropout DynamicConv2d Embedding EncoderLayer FeaturePyramid FeedForward GRU GRUCell GatedFeedForward GroupNorm Hashed InstanceNorm InvertedResidual LSTM LSTMCell LayerNorm LayerNorm2d Lion Mix Mixture PReLU PositionalEncoding RMSNorm RMSprop RNN RNNCell RegNetBlock RelativeBias ResNetBlock Residual RotaryEncoding SGD Scaled Sequential Soft SqueezeExcite Switch Symmetric TransformerLayer WeightNorm
syntax match wsdlType /[:|]\s*\zs\<\%(bf16\|block\|bool\|f16\|f32\|f64\|float\|i16\|i32\|i64\|i8\|int\|layer\|list\|string\|u8\)\>/
syntax match wsdlFunction /\<\%(abs\|acos\|acosh\|adaptive_avg_pool\|adaptive_max_pool\|add\|arange\|argmax\|argmin\|argsort\|asin\|asinh\|atan\|atan2\|atanh\|attention\|attention_weights\|avg_pool\|batch_norm\|bce_with_logits\|bucketize\|cast\|ceil\|clip\|concat\|constant\|contrastive\|conv1d\|conv2d\|conv3d\|conv_transpose1d\|conv_transpose2d\|conv_transpose3d\|cos\|cosh\|cosine\|cosine_embedding\|cosine_similarity\|cross_entropy\|cumprod\|cumsum\|div\|dropout\|einsum\|elu\|equal\|erf\|exp\|expand\|expm1\|flatten\|flip\|floor\|floordiv\|fold\|frozen\|full\|gather\|gelu\|global_avg_pool\|gradient\|greater\|greater_equal\|grid_sample\|group_norm\|hardsigmoid\|hardswish\|huber\|info_nce\|instance_norm\|isfinite\|isinf\|isnan\|istft\|kaiming_normal\|kaiming_uniform\|kl_div\|l2_normalize\|layer_norm\|leaky_relu\|len\|less\|less_equal\|linear\|log\|log10\|log1p\|log2\|log_softmax\|logaddexp\|logical_and\|logical_not\|logical_or\|logsigmoid\|logsumexp\|mae\|matmul\|max\|max_pool\|maximum\|mean\|mel\|min\|minimum\|mish\|mod\|mse\|mul\|neg\|nll\|nms\|normal\|not_equal\|one_hot\|ones\|orthogonal\|pad\|partition\|per_axis\|permute\|pixel_shuffle\|pow\|prod\|quantile\|random_bernoulli\|random_normal\|random_uniform\|relu\|relu6\|reshape\|resize\|rms_norm\|roll\|round\|rsqrt\|scatter_add\|scatter_add_along\|scatter_max\|scatter_mean\|scatter_min\|segment_max\|segment_mean\|segment_min\|segment_softmax\|segment_sum\|selu\|sigmoid\|sign\|silu\|sin\|sinh\|slice\|softmax\|softplus\|softsign\|sort\|split\|sqrt\|squeeze\|stack\|std\|step\|stft\|stop_gradient\|sub\|sum\|take_along\|tan\|tanh\|tile\|topk\|transpose\|tril\|triplet\|triu\|trunc\|trunc_normal\|unfold\|uniform\|unpartition\|unsqueeze\|var\|where\|windows\|xavier_normal\|xavier_uniform\|zeros\)\>\ze(\||>\s*\zs\<\%(abs\|acos\|acosh\|adaptive_avg_pool\|adaptive_max_pool\|add\|arange\|argmax\|argmin\|argsort\|asin\|asinh\|atan\|atan2\|atanh\|attention\|attention_weights\|avg_pool\|batch_norm\|bce_with_logits\|bucketize\|cast\|ceil\|clip\|concat\|constant\|contrastive\|conv1d\|conv2d\|conv3d\|conv_transpose1d\|conv_transpose2d\|conv_transpose3d\|cos\|cosh\|cosine\|cosine_embedding\|cosine_similarity\|cross_entropy\|cumprod\|cumsum\|div\|dropout\|einsum\|elu\|equal\|erf\|exp\|expand\|expm1\|flatten\|flip\|floor\|floordiv\|fold\|frozen\|full\|gather\|gelu\|global_avg_pool\|gradient\|greater\|greater_equal\|grid_sample\|group_norm\|hardsigmoid\|hardswish\|huber\|info_nce\|instance_norm\|isfinite\|isinf\|isnan\|istft\|kaiming_normal\|kaiming_uniform\|kl_div\|l2_normalize\|layer_norm\|leaky_relu\|len\|less\|less_equal\|linear\|log\|log10\|log1p\|log2\|log_softmax\|logaddexp\|logical_and\|logical_not\|logical_or\|logsigmoid\|logsumexp\|mae\|matmul\|max\|max_pool\|maximum\|mean\|mel\|min\|minimum\|mish\|mod\|mse\|mul\|neg\|nll\|nms\|normal\|not_equal\|one_hot\|ones\|orthogonal\|pad\|partition\|per_axis\|permute\|pixel_shuffle\|pow\|prod\|quantile\|random_bernoulli\|random_normal\|random_uniform\|relu\|relu6\|reshape\|resize\|rms_norm\|roll\|round\|rsqrt\|scatter_add\|scatter_add_along\|scatter_max\|scatter_mean\|scatter_min\|segment_max\|segment_mean\|segment_min\|segment_softmax\|segment_sum\|selu\|sigmoid\|sign\|silu\|sin\|sinh\|slice\|softmax\|softplus\|softsign\|sort\|split\|sqrt\|squeeze\|stack\|std\|step\|stft\|stop_gradient\|sub\|sum\|take_along\|tan\|tanh\|tile\|topk\|transpose\|tril\|triplet\|triu\|trunc\|trunc_normal\|unfold\|uniform\|unpartition\|unsqueeze\|var\|where\|windows\|xavier_normal\|xavier_uniform\|zeros\)\>/
syntax match wsdlKeyword /\.\@1<!\<\%(all\|along\|as\|at\|block\|carry\|eval\|every\|except\|fit\|freeze\|from\|group\|ignore\|import\|into\|layer\|limit\|load\|loss\|lr\|member\|metric\|mix\|model\|nodecay\|of\|optimizer\|per\|require\|reverse\|shared\|state\|train\|turns\|until\|update\|variant\|weight\|with\)\>\ze\s\+\%(\<\%(all\|along\|and\|as\|at\|else\|eval\|every\|except\|fit\|for\|if\|in\|into\|nodecay\|not\|of\|or\|per\|with\)\>\)\@![[:alnum:]_"]/
" END words
syntax match wsdlField /\.\@1<!\.\zs\h\w*/
syntax match wsdlNumber /\<\d[0-9_]*\%(\.\d[0-9_]*\)\=\%([eE][+-]\=\d\+\)\=\>/
syntax match wsdlOperator /|>\|->\|\.\.\.\=\|[-+*\/%@<>=!|]/
syntax region wsdlString start=/"/ skip=/\\./ end=/"\|$/ oneline contains=wsdlEscape,wsdlPlaceholder
syntax match wsdlEscape /\\./ contained
syntax match wsdlPlaceholder /{\h\w*\%(\.\.\.\)\=}/ contained
syntax match wsdlComment /#.*/ contains=wsdlTodo,@Spell
syntax match wsdlDocumentation /##.*/ contains=wsdlTodo,@Spell
syntax keyword wsdlTodo TODO FIXME contained

highlight default link wsdlBlock Type
highlight default link wsdlStandardBlock Type
highlight default link wsdlComment Comment
highlight default link wsdlConstant Boolean
highlight default link wsdlDocumentation SpecialComment
highlight default link wsdlEscape SpecialChar
highlight default link wsdlFunction Function
highlight default link wsdlKeyword Keyword
highlight default link wsdlNumber Number
highlight default link wsdlOperator Operator
highlight default link wsdlPlaceholder SpecialChar
highlight default link wsdlString String
highlight default link wsdlTodo Todo
highlight default link wsdlType Type
highlight default link wsdlWordOperator Operator

let b:current_syntax = "wsdl"
