"""Train tanya's reader: a LoRA adapter over multilingual-e5-small with a span head."""
