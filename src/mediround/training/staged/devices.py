"""On what a run is carried out: processes, precision, and what happens when memory runs out."""

import torch
from accelerate import Accelerator
from accelerate.state import PartialState
from accelerate.utils import (
    DistributedDataParallelKwargs,
    DistributedType,
    FullyShardedDataParallelPlugin,
)
from torch import nn

from mediround.errors import ConfigError
from mediround.training.staged.recipe import Execution

_PRECISIONS = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}


def accelerator(settings: Execution, device: str = "auto") -> Accelerator:
    """The processes that ``torchrun`` or ``accelerate launch`` started, or this one alone.

    Args:
        settings: precision and sharding.
        device: "auto" (CUDA if there is one), "cpu" or "cuda".

    Raises:
        ConfigError: no such device, or a precision that it does not have.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device is {device!r}", expected="auto, cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device is 'cuda' and there is none here", expected="auto or cpu")
    on_cpu = device == "cpu" or not torch.cuda.is_available()
    if on_cpu and settings.precision == "float16":
        raise ConfigError(
            "execution.precision is 'float16' on a CPU", expected="float32 or bfloat16"
        )
    made = Accelerator(
        cpu=on_cpu,
        mixed_precision=_PRECISIONS[settings.precision],
        # A batch may hold no reference, no mask: then some parameters take no part in it.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    if settings.sharding == "fsdp2" and made.num_processes > 1 and not made.is_fsdp2:
        plugin = sharding(settings)
        # Accelerate takes a plugin for accelerators alone, and before it knows whether it will be
        # needed; torch shards parameters on any device.
        made.state.distributed_type = DistributedType.FSDP
        made.state.fsdp_plugin = plugin
        PartialState._shared_state["distributed_type"] = DistributedType.FSDP
    return made


def sharding(settings: Execution) -> FullyShardedDataParallelPlugin:
    """Parameters are shared out layer by layer of the language model."""
    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2,
        auto_wrap_policy="transformer_based_wrap",
        reshard_after_forward=True,
        state_dict_type="FULL_STATE_DICT",
        cpu_ram_efficient_loading=False,
    )
    if settings.precision != "float32":
        plugin.set_mixed_precision(_PRECISIONS[settings.precision])
    return plugin


def share_out(made: Accelerator, layer: nn.Module, whole: list[nn.Module]) -> None:
    """Say what sharding shares out, where there is any.

    Args:
        made: the processes.
        layer: modules of its class are shared out each by itself.
        whole: modules that every process keeps, since they are used outside of the objective.
    """
    plugin = getattr(made.state, "fsdp_plugin", None)
    if plugin is not None:
        plugin.transformer_cls_names_to_wrap = [type(layer).__name__]
        plugin.ignored_modules = whole


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on a device or on the host."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # torch's allocator for the host raises nothing narrower.
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
