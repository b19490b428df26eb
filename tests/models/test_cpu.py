"""In which type of number a CPU is to compute, by what it says of itself."""

import pytest

from cai.models import cpu

ZEN2 = "processor\t: 0\nmodel name\t: AMD EPYC 7B12\nflags\t\t: fpu sse2 avx avx2 fma f16c\n"
SAPPHIRE_RAPIDS = "processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_bf16 avx512_fp16 amx_bf16 amx_tile\n"
GRAVITON2 = "processor\t: 0\nFeatures\t: fp asimd evtstrm aes atomics fphp asimdhp\n"
GRAVITON3 = "processor\t: 0\nFeatures\t: fp asimd aes asimdhp sve i8mm bf16\n"


@pytest.mark.parametrize(
    ("cpuinfo", "dtype"),
    [
        (ZEN2, "float32"),
        (SAPPHIRE_RAPIDS, "bfloat16"),
        (SAPPHIRE_RAPIDS.replace("avx512_bf16", "").replace("amx_bf16", ""), "float32"),
        (GRAVITON2, "float32"),
        (GRAVITON3, "bfloat16"),
        ("", "float32"),
    ],
)
def test_a_cpu_computes_in_bfloat16_only_where_it_has_instructions_for_it(cpuinfo: str, dtype: str) -> None:
    assert cpu.dtype(cpu.flags_of(cpuinfo)) == dtype
