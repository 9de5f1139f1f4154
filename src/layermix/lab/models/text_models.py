"""Small models for texts: bag of embeddings, convolutional network, transformer.

All take token ids and an attention mask, int64 (B, L), in which 1 selects tokens. The mask is given
to the modules that use it, so that a mixed example has the tokens of both texts.

Shapes: B batch, L tokens, D width of an embedding, F filters.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_SCALE = 0.1  # standard deviation of initial embeddings


def word_embedding(vocab_size: int, width: int, padding: int) -> nn.Embedding:
    """Return an embedding with small initial values, so that training changes them."""
    embedding = nn.Embedding(vocab_size, width, padding_idx=padding)
    with torch.no_grad():
        embedding.weight.mul_(_SCALE)
    return embedding


class MaskedMean(nn.Module):
    """Mean over the tokens that the mask selects; zero if there is none."""

    def forward(self, x: Tensor, attention_mask: Tensor) -> Tensor:
        """Map tokens (B, L, D) to (B, D)."""
        keep = attention_mask.to(x).unsqueeze(-1)
        return (x * keep).sum(1) / keep.sum(1).clamp(min=1)


class MaskedMax(nn.Module):
    """Maximum over the tokens that the mask selects, of values >= 0; zero if there is none."""

    def forward(self, x: Tensor, attention_mask: Tensor) -> Tensor:
        """Map tokens (B, L, F) to (B, F)."""
        return (x * attention_mask.to(x).unsqueeze(-1)).amax(1)


class BagOfEmbeddings(nn.Module):
    """Deep averaging network (Iyyer et al., 2015): mean of embeddings, then two blocks.

    The hidden mix points are `embedding`, `block1` and `block2`.
    """

    def __init__(
        self,
        num_classes: int,
        vocab_size: int,
        pad_token_id: int = 0,
        width: int = 128,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.embedding = word_embedding(vocab_size, width, pad_token_id)
        self.pool, self.dropout = MaskedMean(), nn.Dropout(dropout)
        self.block1, self.block2 = (
            nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width)) for _ in range(2)
        )
        self.relu, self.fc = nn.ReLU(), nn.Linear(width, num_classes)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Map token ids (B, L) to logits (B, num_classes)."""
        x = self.dropout(self.pool(self.embedding(input_ids), attention_mask))
        return self.fc(self.relu(self.block2(self.relu(self.block1(x)))))


class WordConvolutions(nn.Module):
    """Parallel convolutions over 3, 4 and 5 tokens, each followed by ReLU."""

    def __init__(self, width: int, filters: int, sizes: tuple[int, ...] = (3, 4, 5)) -> None:
        super().__init__()
        self.sizes = sizes
        self.convs = nn.ModuleList(nn.Conv1d(width, filters, size) for size in sizes)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B, L, D) to (B, L, 3 * filters)."""
        found = []
        for size, conv in zip(self.sizes, self.convs, strict=True):
            before = (size - 1) // 2
            found.append(conv(F.pad(x.transpose(1, 2), (before, size - 1 - before))))
        return torch.cat(found, 1).relu().transpose(1, 2)


class TextCNN(nn.Module):
    """Convolutional network for sentences (Kim, 2014), with random embeddings.

    The hidden mix points are `embedding` and `convs`.
    """

    def __init__(
        self,
        num_classes: int,
        vocab_size: int,
        pad_token_id: int = 0,
        width: int = 128,
        filters: int = 100,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.embedding = word_embedding(vocab_size, width, pad_token_id)
        self.convs, self.pool = WordConvolutions(width, filters), MaskedMax()
        self.dropout, self.fc = nn.Dropout(dropout), nn.Linear(3 * filters, num_classes)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Map token ids (B, L) to logits (B, num_classes)."""
        x = self.pool(self.convs(self.embedding(input_ids)), attention_mask)
        return self.fc(self.dropout(x))


class TokenEmbedding(nn.Module):
    """Embeddings of tokens plus learned embeddings of their positions."""

    def __init__(self, vocab_size: int, max_length: int, width: int, padding: int) -> None:
        super().__init__()
        self.tokens = word_embedding(vocab_size, width, padding)
        self.positions = nn.Parameter(torch.randn(max_length, width) * 0.02)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Map token ids (B, L) to (B, L, D)."""
        return self.tokens(input_ids) + self.positions[: input_ids.shape[1]]


class EncoderBlock(nn.Module):
    """Transformer block with layer norm first, which attends to the tokens of the mask."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout, "gelu", batch_first=True, norm_first=True
        )

    def forward(self, x: Tensor, attention_mask: Tensor) -> Tensor:
        """Map tokens (B, L, D) to (B, L, D)."""
        ignored = attention_mask == 0
        return self.layer(x, src_key_padding_mask=ignored & ~ignored.all(1, keepdim=True))


class TextTransformer(nn.Module):
    """Transformer encoder with two blocks, `block1` and `block2`, and the mean of the tokens."""

    def __init__(
        self,
        num_classes: int,
        vocab_size: int,
        max_length: int,
        pad_token_id: int = 0,
        width: int = 128,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.embedding = TokenEmbedding(vocab_size, max_length, width, pad_token_id)
        self.block1, self.block2 = (EncoderBlock(width, 4, dropout) for _ in range(2))
        self.norm, self.pool = nn.LayerNorm(width), MaskedMean()
        self.fc = nn.Linear(width, num_classes)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Map token ids (B, L) to logits (B, num_classes)."""
        x = self.block1(self.embedding(input_ids), attention_mask)
        x = self.block2(x, attention_mask)
        return self.fc(self.pool(self.norm(x), attention_mask))
