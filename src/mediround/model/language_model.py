"""Causal language model over vectors: text tokens, image tokens and reference tokens alike."""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

from mediround import weights
from mediround.config import LanguageConfig, MistralConfig
from mediround.model.roles import LanguageRole
from mediround.model.tokenizer import TextTokenizer
from mediround.prompt import Prompter


class LanguageModel(LanguageRole):
    """A Llama-family model, its low-rank adapter, and the extra token ``[SEG]``.

    The extra token's embedding and output row live beside the pretrained tables, which stay as
    they are. Attributes: ``width`` of the hidden state, ``tokenizer``.
    """

    inner: LlamaForCausalLM
    tokenizer: TextTokenizer

    def __init__(self, inner: LlamaForCausalLM, tokenizer: TextTokenizer, config: LanguageConfig):
        super().__init__()
        self.tokenizer = tokenizer
        self.seg, self.turn_end = tokenizer.seg, tokenizer.turn_end
        self.width = int(inner.config.hidden_size)
        self.vocabulary = int(inner.config.vocab_size)
        self.context = int(inner.config.max_position_embeddings)
        adapter = LoraConfig(
            r=config.lora_rank,
            lora_alpha=config.lora_alpha,
            target_modules=list(config.lora_targets),
        )
        inject_adapter_in_model(adapter, inner)
        self.inner = inner
        for name, parameter in self.inner.named_parameters():
            if "lora_" in name:  # one type throughout, so that no activation is ever converted
                parameter.data = parameter.data.to(inner.dtype)
        self.seg_in = nn.Parameter(torch.zeros(self.width))
        self.seg_out = nn.Parameter(torch.zeros(self.width))

    @classmethod
    def build(cls, config: LanguageConfig | MistralConfig, dtype: torch.dtype) -> "LanguageModel":
        """Pretrained from the weights entry ``config.source``, or random from its sizes."""
        assert isinstance(config, LanguageConfig)
        if config.source is None:
            tokenizer = TextTokenizer.bytewise()
            inner = LlamaForCausalLM(_random_config(config, tokenizer))
            inner.to(dtype)  # type: ignore[arg-type]  # the decorator hides the method's own type
        else:
            folder: Path = weights.path(config.source)
            tokenizer = TextTokenizer.read(folder / "tokenizer.json")
            logging.disable_progress_bar()  # the load takes a quarter of a second
            inner = LlamaForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True)
        return cls(inner.eval(), tokenizer, config)

    def embed(self, ids: Tensor) -> Tensor:
        """Token ids (..., ) -> vectors (..., W); ``[SEG]`` has its own."""
        table = self.inner.get_input_embeddings()
        vectors = table(ids.clamp(max=self.vocabulary - 1))
        is_seg = (ids == self.tokenizer.seg)[..., None]
        return torch.where(is_seg, self.seg_in.to(vectors.dtype), vectors)

    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states (..., W) -> float32 scores (..., vocabulary + 1), ``[SEG]`` last."""
        words = self.inner.lm_head(hidden)[..., : self.tokenizer.size]
        seg = F.linear(hidden, self.seg_out[None].to(hidden.dtype))
        return torch.cat([words, seg], dim=-1).float()

    def save_tokenizer(self, folder: Path) -> None:
        """It is fetched with the pretrained weights."""

    def writer(self, image_tokens: int, reference_form: Sequence[int | str]) -> Prompter:
        """Chats in ChatML."""
        return Prompter(self.tokenizer, image_tokens, reference_form)


def _random_config(config: LanguageConfig, tokenizer: TextTokenizer) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=tokenizer.size,
        hidden_size=config.width,
        intermediate_size=config.inner,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads,
        max_position_embeddings=config.context,
        initializer_range=config.spread,
        tie_word_embeddings=True,
    )
