"""DataDesigner's side of ``peers.py``: answer, critique and revision of each prompt, as three text columns.

    python data_designer_rows.py URL PROMPTS SLOTS FOLDER

Run by a Python that has ``data-designer``; as many requests in parallel as the server has slots.
"""

import sys
from pathlib import Path

import data_designer.config as dd
import pandas
from data_designer.interface import DataDesigner

COLUMNS = {
    "answer": "{{ prompt }}",
    "critique": "{{ prompt }}\n{{ answer }}\nCriticize it.",
    "revision": "{{ prompt }}\n{{ answer }}\n{{ critique }}\nRevise it.",
}


def main() -> None:
    """Create the dataset."""
    url, count, slots, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    provider = dd.ModelProvider(name="here", endpoint=f"{url}/v1", provider_type="openai", api_key="none")
    parameters = dd.ChatCompletionInferenceParams(max_parallel_requests=slots)
    model = dd.ModelConfig(alias="mock", model="mock", provider="here", inference_parameters=parameters)
    builder = dd.DataDesignerConfigBuilder(model_configs=[model])
    prompts = pandas.DataFrame({"prompt": [f"Prompt {number}?" for number in range(count)]})
    builder.with_seed_dataset(dd.DataFrameSeedSource(df=prompts))
    for name, prompt in COLUMNS.items():
        builder.add_column(dd.LLMTextColumnConfig(name=name, prompt=prompt, model_alias="mock"))
    made = DataDesigner(artifact_path=folder, model_providers=[provider]).create(builder, num_records=count)
    assert len(made.load_dataset()) == count


if __name__ == "__main__":
    main()
