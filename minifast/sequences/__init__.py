"""Sequences: layer norm, gated recurrent units, causal attention, and characters as data."""
from .attention import CausalSelfAttention as CausalSelfAttention
from .attention import TransformerBlock as TransformerBlock
from .attention import causal_attention as causal_attention
from .gru import GRU as GRU
from .gru import GRUCell as GRUCell
from .gru import gru_cell as gru_cell
from .norm import LayerNorm as LayerNorm
from .norm import layer_norm as layer_norm
from .text import CharDataBunch as CharDataBunch
from .text import bits_per_character as bits_per_character
from .text import frequency_bits as frequency_bits
from .text import generate as generate
