"""Mistral-class language model with the official release's extra tokens in its table."""

from collections.abc import Sequence
from pathlib import Path

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor
from transformers import AutoModelForCausalLM, MistralForCausalLM
from transformers import MistralConfig as MistralSizes

from mediround.config import MistralConfig
from mediround.errors import WeightsError
from mediround.model.official.sentencepiece import SPACE, Piece, byte_pair_tokenizer
from mediround.model.official.tokenizer import OfficialTokenizer
from mediround.model.roles import LanguageRole
from mediround.quirks import OfficialQuirks
from mediround.templates import TEMPLATES, OfficialPrompter


class MistralLanguage(LanguageRole):
    """MistralForCausalLM of transformers, whose last rows are the three extra tokens."""

    inner: MistralForCausalLM
    tokenizer: OfficialTokenizer

    def __init__(
        self,
        inner: MistralForCausalLM,
        tokenizer: OfficialTokenizer,
        config: MistralConfig,
        quirks: OfficialQuirks,
    ) -> None:
        super().__init__()
        if tokenizer.size > config.vocabulary:
            raise WeightsError(
                f"the tokenizer knows {tokenizer.size} ids and the table has {config.vocabulary}",
                expected="the tokenizer that the weights were trained with",
            )
        if config.lora_rank:
            adapter = LoraConfig(
                r=config.lora_rank,
                lora_alpha=config.lora_alpha,
                target_modules=list(config.lora_targets),
            )
            inject_adapter_in_model(adapter, inner)
        self.inner = inner
        self.tokenizer, self.config, self.quirks = tokenizer, config, quirks
        self.width, self.context = config.width, config.context
        self.seg, self.turn_end = tokenizer.seg, tokenizer.eos

    @classmethod
    def build(
        cls, config: MistralConfig, dtype: torch.dtype, folder: Path | None, quirks: OfficialQuirks
    ) -> "MistralLanguage":
        """Random weights, to be loaded; the tokenizer of ``folder``, or one token a byte."""
        tokenizer = bytewise() if folder is None else OfficialTokenizer.read(folder)
        inner = AutoModelForCausalLM.from_config(_sizes(config), dtype=dtype)
        return cls(inner.eval(), tokenizer, config, quirks)

    def embed(self, ids: Tensor) -> Tensor:
        """Token ids (..., ) -> vectors (..., W)."""
        return self.inner.get_input_embeddings()(ids)  # type: ignore[no-any-return]  # modules return Any

    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states (..., W) -> float32 scores (..., ids)."""
        return self.inner.lm_head(hidden)[..., : self.tokenizer.size].float()  # type: ignore[no-any-return]  # modules return Any

    def refill(self) -> None:
        """Compute the rotary frequencies."""
        decoder = self.inner.model
        decoder.rotary_emb = type(decoder.rotary_emb)(config=self.inner.config)

    def save_tokenizer(self, folder: Path) -> None:
        """Write ``tokenizer.json``."""
        self.tokenizer.write(folder)

    def writer(self, image_tokens: int, reference_form: Sequence[int | str]) -> OfficialPrompter:
        """Dialogues in the template that the weights were trained with."""
        assert tuple(reference_form) == (OfficialPrompter.reference_tokens,)
        template = TEMPLATES[self.config.template]
        return OfficialPrompter(self.tokenizer, template, image_tokens, self.quirks)


def bytewise() -> OfficialTokenizer:
    """One token a byte, for models with random weights."""
    control = [Piece("<unk>", 0.0, 2), Piece("<s>", 0.0, 3), Piece("</s>", 0.0, 3)]
    pieces = [Piece(f"<0x{byte:02X}>", 0.0, 6) for byte in range(256)]
    return OfficialTokenizer(byte_pair_tokenizer([*control, *pieces, Piece(SPACE, 0.0, 1)]))


def _sizes(config: MistralConfig) -> MistralSizes:
    return MistralSizes(
        vocab_size=config.vocabulary,
        hidden_size=config.width,
        intermediate_size=config.inner,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads,
        max_position_embeddings=config.context,
        rms_norm_eps=config.norm_eps,
        rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
        sliding_window=None,
        tie_word_embeddings=False,
    )
