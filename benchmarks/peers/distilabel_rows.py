"""distilabel's side of ``peers.py``: answer, critique and revision of each prompt, as three tasks of a pipeline.

    python distilabel_rows.py URL PROMPTS SLOTS FOLDER

Run by a Python that has ``distilabel[openai]``; 64 rows a batch, as wide as the server, and no cache.
"""

import sys

from distilabel.models import OpenAILLM
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromDicts
from distilabel.steps.tasks import TextGeneration


def main() -> None:
    """Run the pipeline."""
    url, count, slots, _ = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]

    def task(name: str, template: str, columns: list[str], out: str) -> TextGeneration:
        return TextGeneration(
            name=name,
            llm=OpenAILLM(model="mock", base_url=f"{url}/v1", api_key="none"),
            template=template,
            columns=columns,
            output_mappings={"generation": out},
            input_batch_size=slots,
        )

    with Pipeline(name="rows") as pipeline:
        rows = [{"prompt": f"Prompt {number}?"} for number in range(count)]
        load = LoadDataFromDicts(data=rows, batch_size=slots)
        draft = task("draft", "{{ prompt }}", ["prompt"], "answer")
        critique = task("critique", "{{ prompt }}\n{{ answer }}\nCriticize it.", ["prompt", "answer"], "critique")
        both = ["prompt", "answer", "critique"]
        revision = task("revision", "{{ prompt }}\n{{ answer }}\n{{ critique }}\nRevise it.", both, "revision")
        load >> draft >> critique >> revision
    made = pipeline.run(use_cache=False)
    assert len(made["default"]["train"]) == count


if __name__ == "__main__":
    main()
