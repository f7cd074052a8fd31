"""How fast texts become vectors, beside sentence-transformers and beside the processor.

    python bench/embedding.py [--texts 240] [--rounds 5] [--parts speed,recall]

``speed``: paragraphs of Indonesian and English Wikipedia, as long as they come. Ours in both
precisions; ``SentenceTransformer.encode()`` as it comes; and one text at a time, as scripts do.
``share_of_peak`` is of what a product of two float32 matrices of 2048 x 2048 reaches here.

``recall``: recall@5 of cosine search on TyDi QA Indonesian, in both precisions. Takes minutes.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch
from measuring import DATA, alternate, figure, medians, mixed_texts
from sentence_transformers import SentenceTransformer

from tanya.embedding import Embedder, Vectors
from tanya.models import load_embedder, resolve
from tanya.packed import has_fast_bfloat16
from tanya.types import PRECISIONS

PEAK_SIZE = 2048
DEPTH = 5


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=240)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--parts", default="speed,recall")
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    figure("bfloat16_in_hardware", value=has_fast_bfloat16(), threads=torch.get_num_threads())
    if "speed" in parts:
        speed(arguments.texts, arguments.rounds)
    if "recall" in parts:
        recall()


def speed(count: int, rounds: int) -> None:
    """Time all ways on the same texts, in turns."""
    texts = mixed_texts(count)
    ours = {precision: load_embedder("compact", precision=precision) for precision in PRECISIONS}
    prompted = [ours["float32"].fingerprint.passage_prompt + text for text in texts]
    library = SentenceTransformer(str(resolve("compact", "embedder").directory), device="cpu")
    tokens = sum(map(len, ours["float32"].tokenizer(prompted)["input_ids"]))
    one = slice(0, len(prompted), 4)  # A quarter of the texts is enough for the slowest way.
    single = sum(map(len, ours["float32"].tokenizer(prompted[one])["input_ids"]))

    def one_at_a_time() -> Vectors:
        return np.stack([library.encode(text) for text in prompted[one]])

    def by_library() -> Vectors:
        return library.encode(prompted, show_progress_bar=False)

    reference = by_library()
    nearness = {
        f"tanya {precision}": {
            "lowest_cosine": float((embedder.encode_passages(texts) * reference).sum(1).min())
        }
        for precision, embedder in ours.items()
    }
    seconds = alternate(
        {
            "sentence-transformers": by_library,
            "one at a time": one_at_a_time,
            "tanya float32": lambda: ours["float32"].encode_passages(texts),
            "tanya bfloat16": lambda: ours["bfloat16"].encode_passages(texts),
            "peak": matrix_products,
        },
        rounds,
    )
    middle = medians(seconds)
    peak = 10 * 2 * PEAK_SIZE**3 / middle.pop("peak")
    figure("peak_float32", gigaflops=peak / 1e9)
    needed = operations(ours["float32"], texts)
    done = {name: single if name == "one at a time" else tokens for name in middle}
    library_rate = tokens / middle["sentence-transformers"]
    single_rate = single / middle["one at a time"]
    for name, taken in middle.items():
        rate = done[name] / taken
        figure(
            "embedding",
            method=name,
            tokens_per_second=rate,
            passages_per_second=rate * count / tokens,
            beside_library=rate / library_rate,
            beside_one_at_a_time=rate / single_rate,
            share_of_peak=rate * needed / tokens / peak,
            spread=(max(seconds[name]) - min(seconds[name])) / taken,
            **nearness.get(name, {}),
        )
    tokenised = []
    for _ in range(rounds):
        started = time.perf_counter()
        ours["float32"]._ids(prompted)
        tokenised.append(time.perf_counter() - started)
    taken = statistics.median(tokenised)
    figure("tokenising", share_of_bfloat16=taken / middle["tanya bfloat16"])


def matrix_products() -> None:
    """Ten products, for the peak."""
    left, right = torch.ones(2, PEAK_SIZE, PEAK_SIZE)
    for _ in range(10):
        left @ right


def operations(embedder: Embedder, texts: list[str]) -> float:
    """Floating point operations of a pass over some texts: products and attention."""
    bert = embedder.encoder
    products = (
        sum(
            weight.numel() for name, weight in bert.weights.items() if name.endswith("dense.weight")
        )
        + 3 * bert.layers * bert.width**2
    )
    attention = 4 * bert.layers * bert.width
    lengths = [len(ids) + 4 for ids in embedder.token_offsets(texts)]
    return float(sum(2 * n * products + n**2 * attention for n in lengths))


def recall() -> None:
    """Recall@5 of exact cosine search in each precision."""
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
    from retrieval import read_corpus, read_queries

    folder = DATA / "retrieval" / "tydiqa.id"
    corpus, queries = read_corpus([folder / "corpus.jsonl"]), read_queries(folder)
    found = {}
    for precision in PRECISIONS:
        embedder = load_embedder("compact", precision=precision)
        passages = embedder.encode_passages([row.text for row in corpus])
        questions = embedder.encode_questions([query.text for query in queries])
        best = np.argsort(-(questions @ passages.T), axis=1)[:, :DEPTH]
        found[precision] = statistics.fmean(
            len({corpus[row].id for row in rows} & query.relevant) / len(query.relevant)
            for rows, query in zip(best, queries, strict=True)
        )
    lost = 100 * (found["float32"] - found["bfloat16"])
    figure("recall_at_5", passages=len(corpus), questions=len(queries), **found, points_lost=lost)


if __name__ == "__main__":
    main()
