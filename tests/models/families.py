"""Chat templates of many families, in small and after their public forms, and what each makes of one conversation.

Those that TRL's package brings are read from it.
"""

import importlib.util
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Family:
    """A template and what is right.

    Attributes:
        special: its tokens beside bos and eos.
        adds_bos: whether the tokenizer begins each text with bos.
        stops: tokens by which its models stop beside eos, as their generation_config.json names them.
        asked: "Be brief." / "Hi" / "Yo" / "Late?", to where the answer begins; its end, where it begins with "…".
        learnt: the answer "Yes.", each trained token in brackets.
        behind: what the template puts behind that in the whole conversation.
        scored: the whole conversation, where it is not these three together.
        faults: what is peculiar about it.
    """

    template: str
    asked: str
    learnt: str
    faults: set[str]
    bos: str = ""
    adds_bos: bool = True
    eos: str = "</s>"
    pad: str = "<pad>"
    special: tuple[str, ...] = ()
    stops: tuple[str, ...] = ()
    behind: str = ""
    scored: str = ""
    options: dict[str, Any] = field(default_factory=dict)


def shipped(name: str) -> str:
    """A template that TRL's package brings."""
    spec = importlib.util.find_spec("trl")
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8")


CHATML = "<|im_start|>", "<|im_end|>"
CHATML_ASKED = (
    "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nYo<|im_end|>\n"
    "<|im_start|>user\nLate?<|im_end|>\n<|im_start|>assistant\n"
)
CHATML_LEARNT = "[Yes][.][<|im_end|>]"
DEFAULT = "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are the helpful assistant of a firm.<|im_end|>\n{% endif %}"
PLAIN = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
PROMPT = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
DEEPSEEK = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}"
    "{% elif m.role == 'user' %}<｜User｜>{{ m.content }}"
    "{% else %}{{ '<｜Assistant｜></think>' + m.content + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<｜Assistant｜>{{ '<think>' if thinking else '</think>' }}{% endif %}"
)
COHERE = (
    *("<|START_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<|SYSTEM_TOKEN|>", "<|CHATBOT_TOKEN|>"),
    *("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
)
QWEN = (*CHATML, "<think>", "</think>", "<tool_call>", "</tool_call>")
GEMMA_ASKED = (
    "<bos><start_of_turn>user\nBe brief.\n\nHi<end_of_turn>\n<start_of_turn>model\nYo<end_of_turn>\n"
    "<start_of_turn>user\nLate?<end_of_turn>\n<start_of_turn>model\n"
)
LLAMA3 = "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"
NO_TOOLS = {"tools_dropped", "calls_dropped", "no_generation_marks"}

# What the members of a family of models share.
qwen = partial(Family, eos="<|im_end|>", special=QWEN, behind="\n")
llama_3 = partial(Family, bos="<|begin_of_text|>", eos="<|eot_id|>", special=LLAMA3)
gemma = partial(Family, bos="<bos>", eos="<eos>", special=("<start_of_turn>",), stops=("<end_of_turn>",), behind="\n")
deepseek = partial(Family, DEEPSEEK, bos="<s>", special=("<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"))

FAMILIES: dict[str, Family] = {
    "chatml": Family(
        PLAIN + PROMPT, CHATML_ASKED, CHATML_LEARNT, NO_TOOLS, eos="<|im_end|>", special=CHATML, behind="\n"
    ),
    "smollm2": Family(
        DEFAULT + PLAIN + PROMPT,
        CHATML_ASKED,
        CHATML_LEARNT,
        {*NO_TOOLS, "own_words"},
        bos="<|im_start|>",
        adds_bos=False,
        eos="<|im_end|>",
        special=CHATML,
        behind="\n",
    ),
    "llama-2": Family(
        "{% if messages[0].role == 'system' %}{% set system = '<<SYS>>\n' + messages[0].content + '\n<</SYS>>\n\n' %}"
        "{% set messages = messages[1:] %}{% endif %}"
        "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('must alternate') }}"
        "{% endif %}{% if m.role == 'user' %}{{ bos_token + '[INST] ' + (system if loop.first and system else '') "
        "+ m.content.strip() + ' [/INST]' }}{% else %}{{ ' ' + m.content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
        "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST] Yo </s><s>[INST] Late? [/INST]",
        "[ ][Yes][.][ ][</s>]",
        {*NO_TOOLS, "stripped", "alternating", "bos_added_again"},
        bos="<s>",
    ),
    "mistral-v1": Family(
        "{{ bos_token }}{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('Conversation roles must alternate user/assistant') }}{% endif %}"
        "{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}{% else %}{{ m.content + eos_token }}{% endif %}"
        "{% endfor %}",
        "<s>[INST] Be brief.\n\nHi [/INST]Yo</s>[INST] Late? [/INST]",
        "[Yes][.][</s>]",
        {*NO_TOOLS, "system_refused", "alternating", "bos_added_again"},
        bos="<s>",
    ),
    "mistral-v3": Family(
        "{% if messages[0].role == 'system' %}{% set system = messages[0].content %}{% set messages = messages[1:] %}{% endif %}"
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}"
        "{% if tools and m == (messages | selectattr('role', 'equalto', 'user') | list)[-1] %}"
        "{{ '[AVAILABLE_TOOLS] ' + tools | tojson + '[/AVAILABLE_TOOLS]' }}{% endif %}"
        "{% if loop.last and system is defined %}{{ '[INST] ' + system + '\n\n' + m.content + '[/INST]' }}"
        "{% else %}{{ '[INST] ' + m.content + '[/INST]' }}{% endif %}"
        "{% elif m.tool_calls %}{{ '[TOOL_CALLS] ' + (m.tool_calls | map(attribute='function') | list) | tojson + eos_token }}"
        "{% elif m.role == 'tool' %}{{ '[TOOL_RESULTS] ' + m.content + '[/TOOL_RESULTS]' }}"
        "{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}",
        "<s>[INST] Hi[/INST] Yo</s>[INST] Be brief.\n\nLate?[/INST]",
        "[ ][Yes][.][</s>]",
        {"system_not_learnt", "no_generation_marks", "bos_added_again"},
        bos="<s>",
        special=("[INST]", "[/INST]", "[TOOL_CALLS]"),
        scored="<s>[INST] Be brief.\n\nHi[/INST] Yo</s>[INST] Late?[/INST] Yes.</s>",
    ),
    "mistral-v7": Family(
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}[SYSTEM_PROMPT]{{ m.content }}[/SYSTEM_PROMPT]"
        "{% elif m.role == 'user' %}[INST]{{ m.content }}[/INST]{% else %}{{ m.content + eos_token }}{% endif %}{% endfor %}",
        "<s>[SYSTEM_PROMPT]Be brief.[/SYSTEM_PROMPT][INST]Hi[/INST]Yo</s>[INST]Late?[/INST]",
        "[Yes][.][</s>]",
        {*NO_TOOLS, "bos_added_again"},
        bos="<s>",
        special=("[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"),
    ),
    "zephyr": Family(
        "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + eos_token + '\n' }}"
        "{% if loop.last and add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}{% endfor %}",
        "<|system|>\nBe brief.</s>\n<|user|>\nHi</s>\n<|assistant|>\nYo</s>\n<|user|>\nLate?</s>\n<|assistant|>\n",
        "[Yes][.][</s>]",
        {*NO_TOOLS, "bos_missing"},
        bos="<s>",
        behind="\n",
    ),
    "tulu": Family(
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}{{ '<|assistant|>\n' }}{% generation %}"
        "{{ m.content + eos_token }}{% endgeneration %}{{ '' if loop.last else '\n' }}{% else %}"
        "{{ '<|' + m.role + '|>\n' + m.content + '\n' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}",
        "<s><|system|>\nBe brief.\n<|user|>\nHi\n<|assistant|>\nYo</s>\n<|user|>\nLate?\n<|assistant|>\n",
        "[Yes][.][</s>]",
        {"tools_dropped", "calls_dropped", "bos_added_again"},
        bos="<s>",
    ),
    "phi-4": Family(
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '<|im_sep|>' + m.content + '<|im_end|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}",
        "<|im_start|>system<|im_sep|>Be brief.<|im_end|><|im_start|>user<|im_sep|>Hi<|im_end|><|im_start|>assistant<|im_sep|>Yo"
        "<|im_end|><|im_start|>user<|im_sep|>Late?<|im_end|><|im_start|>assistant<|im_sep|>",
        CHATML_LEARNT,
        {*NO_TOOLS, "end_no_stop"},
        eos="<|endoftext|>",
        special=(*CHATML, "<|im_sep|>"),
    ),
    "granite": Family(
        "{% if messages[0].role != 'system' %}<|start_of_role|>system<|end_of_role|>Today's Date: {{ strftime_now('%B %d, %Y') }}. "
        "You are Granite.<|end_of_text|>\n{% endif %}"
        "{% for m in messages %}{{ '<|start_of_role|>' + m.role + '<|end_of_role|>' + m.content + '<|end_of_text|>\n' }}"
        "{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start_of_role|>assistant<|end_of_role|>' }}{% endif %}",
        "<|start_of_role|>system<|end_of_role|>Be brief.<|end_of_text|>\n<|start_of_role|>user<|end_of_role|>Hi<|end_of_text|>\n"
        "<|start_of_role|>assistant<|end_of_role|>Yo<|end_of_text|>\n<|start_of_role|>user<|end_of_role|>Late?<|end_of_text|>\n"
        "<|start_of_role|>assistant<|end_of_role|>",
        "[Yes][.][<|end_of_text|>]",
        {*NO_TOOLS, "own_words", "date"},
        eos="<|end_of_text|>",
        special=("<|start_of_role|>", "<|end_of_role|>"),
        behind="\n",
    ),
    "deepseek-v3.1": deepseek(
        "<s>Be brief.<｜User｜>Hi<｜Assistant｜></think>Yo</s><｜User｜>Late?<｜Assistant｜></think>",
        "[Yes][.][</s>]",
        {*NO_TOOLS, "empty_thought", "thinking_switch", "bos_added_again"},
    ),
    "deepseek-v3.1-thinking": deepseek(
        "<s>Be brief.<｜User｜>Hi<｜Assistant｜></think>Yo</s><｜User｜>Late?<｜Assistant｜><think>",
        "[</think>][Yes][.][</s>]",
        {*NO_TOOLS, "opens_thought", "thinking_switch", "thought_not_shown", "bos_added_again"},
        scored="<s>Be brief.<｜User｜>Hi<｜Assistant｜></think>Yo</s><｜User｜>Late?<｜Assistant｜></think>Yes.</s>",
        options={"thinking": True},
    ),
    "smollm3": Family(
        PLAIN + PROMPT[: -len("{% endif %}")] + "{% if enable_thinking is defined and not enable_thinking %}"
        "{{ '<think>\n\n</think>\n' }}{% endif %}{% endif %}",
        CHATML_ASKED + "<think>\n\n</think>\n",
        CHATML_LEARNT,
        {*NO_TOOLS, "empty_thought", "thinking_switch", "shown_otherwise"},
        eos="<|im_end|>",
        special=(*CHATML, "<think>", "</think>"),
        scored=CHATML_ASKED + "Yes.<|im_end|>\n",
        options={"enable_thinking": False},
    ),
    "command-r": Family(
        "{{ bos_token }}{% for m in messages %}<|START_OF_TURN_TOKEN|>{% if m.role == 'user' %}<|USER_TOKEN|>{{ m.content }}"
        "{% elif m.role == 'system' %}<|SYSTEM_TOKEN|>{{ m.content }}{% else %}<|CHATBOT_TOKEN|><|START_RESPONSE|>{{ m.content }}"
        "<|END_RESPONSE|>{% endif %}<|END_OF_TURN_TOKEN|>{% endfor %}"
        "{% if add_generation_prompt %}<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>{% endif %}",
        "<BOS_TOKEN><|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>Be brief.<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|USER_TOKEN|>Hi"
        "<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|><|START_RESPONSE|>Yo<|END_RESPONSE|><|END_OF_TURN_TOKEN|>"
        "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>Late?<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
        "[<|START_RESPONSE|>][Yes][.][<|END_RESPONSE|>][<|END_OF_TURN_TOKEN|>]",
        {*NO_TOOLS, "bos_added_again"},
        bos="<BOS_TOKEN>",
        eos="<|END_OF_TURN_TOKEN|>",
        special=COHERE,
    ),
    "vicuna, bos twice": Family(
        "{{ bos_token }}{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}USER: {{ m.content }}"
        "{% elif m.role == 'assistant' %} ASSISTANT: {{ m.content + eos_token }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %} ASSISTANT:{% endif %}",
        "<s><s>USER: Be brief.\n\nHi ASSISTANT: Yo</s>USER: Late? ASSISTANT:",
        "[ ][Yes][.][</s>]",
        {*NO_TOOLS, "system_dropped", "bos_twice"},
        bos="<s>",
    ),
    "qwen2.5": qwen(
        shipped("qwen2_5"),
        CHATML_ASKED,
        CHATML_LEARNT,
        {"own_words", "no_generation_marks"},
        stops=("<|endoftext|>",),
    ),
    "qwen3": qwen(
        shipped("qwen3"),
        CHATML_ASKED,
        "[<think>][\n\n][</think>][\n\n][Yes][.][<|im_end|>]",
        {"thoughts_dropped", "thinking_switch", "learns_empty_thought", "split", "no_generation_marks"},
    ),
    "qwen3 without thinking": qwen(
        shipped("qwen3"),
        CHATML_ASKED + "<think>\n\n</think>\n\n",
        CHATML_LEARNT,
        {"thoughts_dropped", "thinking_switch", "empty_thought", "split", "no_generation_marks"},
        options={"enable_thinking": False},
    ),
    "qwen3.5": qwen(
        shipped("qwen3_5_think"),
        CHATML_ASKED + "<think>\n",  # the tokenizer would join this line break to the next, which is to be learnt alone
        "[\n][</think>][\n\n][Yes][.][<|im_end|>]",
        {"thoughts_dropped", "thinking_switch", "opens_thought", "stripped", "split", "no_generation_marks"},
    ),
    "llama-3": llama_3(
        shipped("llama3"),
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|><|start_header_id|>user<|end_header_id|>"
        "\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nYo<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n"
        "Late?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        "[Yes][.][<|eot_id|>]",
        {*NO_TOOLS, "stripped", "bos_added_again"},
        stops=("<|end_of_text|>",),
    ),
    "llama-3, a base model's end": llama_3(
        shipped("llama3"),
        "…Late?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        "[Yes][.][<|eot_id|>]",
        {*NO_TOOLS, "stripped", "bos_added_again", "end_no_stop"},
        eos="<|end_of_text|>",
    ),
    "llama-3.1": llama_3(
        shipped("llama3_1"),
        "…\n\nBe brief.<|eot_id|><|start_header_id|>user<|end_header_id|>"
        "\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nYo<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n"
        "Late?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        "[Yes][.][<|eot_id|>]",
        {"own_words", "date", "stripped", "bos_added_again", "no_generation_marks"},
        stops=("<|eom_id|>",),
    ),
    "gemma-2": gemma(
        shipped("gemma"),
        GEMMA_ASKED,
        "[Yes][.][<end_of_turn>]",
        {*NO_TOOLS, "system_refused", "alternating", "stripped", "bos_added_again"},
    ),
    "gemma-3": gemma(
        shipped("gemma3"),
        GEMMA_ASKED,
        "[Yes][.][<end_of_turn>]",
        {*NO_TOOLS, "alternating", "stripped", "bos_added_again"},
    ),
    "phi-3": Family(
        shipped("phi3"),
        "<|system|>\nBe brief.<|end|>\n<|user|>\nHi<|end|>\n<|assistant|>\nYo<|end|>\n<|user|>\nLate?<|end|>\n<|assistant|>\n",
        "[Yes][.][<|end|>]",
        {*NO_TOOLS, "after_end", "pad_is_end"},
        eos="<|endoftext|>",
        special=("<|system|>", "<|user|>", "<|assistant|>"),
        stops=("<|end|>",),
        pad="<|end|>",
        behind="\n<|endoftext|>",
    ),
    "deepseek-r1, distilled": Family(
        shipped("deepseek_r1_distill"),
        "<｜begin▁of▁sentence｜>Be brief.<｜User｜>Hi<｜Assistant｜>Yo<｜end▁of▁sentence｜><｜User｜>Late?<｜Assistant｜><think>\n",
        "[\n][</think>][\n\n][Yes][.][<｜end▁of▁sentence｜>]",
        {*NO_TOOLS, "opens_thought", "thought_not_shown", "split", "bos_added_again"},
        bos="<｜begin▁of▁sentence｜>",
        eos="<｜end▁of▁sentence｜>",
        special=("<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"),
        scored="<｜begin▁of▁sentence｜>Be brief.<｜User｜>Hi<｜Assistant｜>Yo<｜end▁of▁sentence｜><｜User｜>Late?"
        "<｜Assistant｜>Yes.<｜end▁of▁sentence｜>",
    ),
    "gpt-oss": Family(
        shipped("gptoss"),
        "…<|start|>user<|message|>Hi<|end|><|start|>assistant<|channel|>final<|message|>Yo<|end|><|start|>user<|message|>Late?<|end|>"
        "<|start|>assistant",
        "[<|channel|>][f][i][n][a][l][<|message|>][Yes][.][<|return|>]",
        {"own_words", "date", "thoughts_dropped", "no_generation_marks"},
        bos="<|startoftext|>",
        adds_bos=False,
        eos="<|return|>",
        special=("<|start|>", "<|end|>", "<|message|>", "<|channel|>"),
        stops=("<|call|>",),
    ),
    "nemotron-3": Family(
        shipped("nemotron_3_nano"),
        "…<|im_start|>assistant\n<think></think>Yo<|im_end|>\n<|im_start|>user\nLate?<|im_end|>\n<|im_start|>assistant\n<think>\n",
        "[\n][</think>][\n][Yes][.][<|im_end|>]",
        {"opens_thought", "thoughts_dropped", "thinking_switch", "stripped", "no_generation_marks"},
        bos="<s>",
        adds_bos=False,
        eos="<|im_end|>",
        special=(*CHATML, "<think>", "</think>"),
        scored="…<|im_start|>user\nLate?<|im_end|>\n<|im_start|>assistant\n<think></think>Yes.<|im_end|>\n",
    ),
    "glm-4.5": Family(
        shipped("glm4moe"),
        "[gMASK]<sop><|system|>\nBe brief.<|user|>\nHi<|assistant|>\n<think></think>\nYo<|user|>\nLate?<|assistant|>",
        "[\n][<think>][</think>][\n][Yes][.][<|user|>]",
        {
            "end_opens_next",
            "learns_empty_thought",
            "thoughts_dropped",
            "thinking_switch",
            "stripped",
            "split",
            "no_generation_marks",
        },
        eos="<|endoftext|>",
        special=("[gMASK]", "<sop>", "<|system|>", "<|assistant|>", "<think>", "</think>"),
        stops=("<|user|>", "<|observation|>"),
        scored="[gMASK]<sop><|system|>\nBe brief.<|user|>\nHi<|assistant|>\n<think></think>\nYo<|user|>\nLate?<|assistant|>\n"
        "<think></think>\nYes.",
    ),
    "aya": Family(
        shipped("cohere2"),
        "…<|USER_TOKEN|>Late?<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|><|START_RESPONSE|>",
        "[Yes][.][<|END_RESPONSE|>][<|END_OF_TURN_TOKEN|>]",
        {*NO_TOOLS, "own_words", "alternating", "bos_added_again"},
        bos="<BOS_TOKEN>",
        eos="<|END_OF_TURN_TOKEN|>",
        special=COHERE,
    ),
    "lfm2.5": Family(
        shipped("lfm2_2_5"),
        "<|startoftext|>" + CHATML_ASKED,
        CHATML_LEARNT,
        {"thoughts_dropped", "bos_added_again"},
        bos="<|startoftext|>",
        eos="<|im_end|>",
        special=CHATML,
        behind="\n",
    ),
}

WORDS = ("Yes", "Hi", "Yo", "Late", "\n\n")
"""What is one token beside single bytes and special tokens; also the two line breaks that may meet where an answer begins."""


def tokenizer(family: Family) -> Any:
    """A tokenizer of bytes and a few words with a family's template and special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    begins = [family.bos] if family.bos else []
    letters = [*begins, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    spelled = [word.replace("\n", "\u010a") for word in WORDS]
    merges = [(word[:size], word[size]) for word in spelled for size in range(1, len(word))]
    vocabulary = dict.fromkeys([*letters, *(left + right for left, right in merges)])
    inner = Tokenizer(models.BPE({token: number for number, token in enumerate(vocabulary)}, merges))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    if begins and family.adds_bos:
        inner.post_processor = processors.TemplateProcessing(f"{family.bos} $A", special_tokens=[(family.bos, 0)])
    known = {"eos_token": family.eos, "pad_token": family.pad, **({"bos_token": family.bos} if begins else {})}
    found = PreTrainedTokenizerFast(tokenizer_object=inner, **known, chat_template=family.template)
    found.add_special_tokens(
        {"extra_special_tokens": [*family.special, *family.stops]}, replace_extra_special_tokens=False
    )
    return found


def generation(family: Family, reads: Any) -> Any:
    """A model's settings for generation."""
    from transformers import GenerationConfig

    return GenerationConfig(eos_token_id=[reads.convert_tokens_to_ids(each) for each in (family.eos, *family.stops)])
