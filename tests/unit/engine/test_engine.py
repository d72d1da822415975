from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_network import CONFIG, SOME, embedded, network, options, sequences

from lucaflow.encoders.contacts import ContactHead
from lucaflow.encoders.lucaone import EncoderConfig, LucaOne
from lucaflow.encoders.pass_plan import ROWS_AT_ONCE
from lucaflow.engine.batches import plan_batches
from lucaflow.engine.engine import Engine
from lucaflow.errors import ConfigError, DeviceError, EmbeddingError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def encoder():
    return network(CPU)


@given(st.lists(st.integers(3, 400), max_size=50), st.integers(1, 2000))
def test_batches_cover_everything_within_the_budget(tokens, budget):
    batches = plan_batches(tokens, budget)
    assert [index for start, stop in batches for index in range(start, stop)] == list(range(len(tokens)))
    for start, stop in batches:
        assert stop - start == 1 or sum(tokens[start:stop]) <= budget
    assert all(sum(tokens[start : stop + 1]) > budget for start, stop in batches[:-1])


@pytest.mark.parametrize("budget", [1, 20, 10_000])
def test_no_budget_changes_a_value(encoder, budget):
    reference, pooled = embedded(Engine(encoder, options(), CPU, 1), SOME)
    matrices, vectors = embedded(Engine(encoder, options(), CPU, budget), SOME)
    for found, expected, sequence in zip(matrices, reference, SOME, strict=True):
        assert found.shape == (len(sequence.residues), 16)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    for name, values in vectors.items():
        np.testing.assert_allclose(values, pooled[name], atol=1e-5)
    np.testing.assert_allclose(vectors["mean"], [matrix.mean(0) for matrix in reference], atol=1e-6)
    np.testing.assert_allclose(vectors["max"], [matrix.max(0) for matrix in reference], atol=1e-5)


def test_many_rows_go_through_the_feed_forward_layer_in_slices(encoder, monkeypatch):
    whole = embedded(Engine(encoder, options(), CPU, budget=200), SOME)
    monkeypatch.setitem(ROWS_AT_ONCE, "cpu", 5)
    sliced = embedded(Engine(encoder, options(), CPU, budget=200), SOME)
    for one, other in zip(whole[0], sliced[0], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("layer", [None, 0, 1, 2])
def test_contacts_come_from_the_same_pass(encoder, layer):
    torch.manual_seed(1)
    head = ContactHead(CONFIG)
    engine = Engine(encoder, options(outputs=("mean", "contacts"), layer=layer), CPU, 10_000, head)
    plain = Engine(encoder, options(layer=layer), CPU, 10_000)
    batches = list(engine.embed(SOME))
    _, vectors = embedded(plain, SOME)
    assert [(piece.output, piece.sequence) for batch in batches for piece in batch.pieces] == [
        ("contacts", index) for index in range(len(SOME))
    ]
    for index, batch in enumerate(batches):
        (piece,) = batch.pieces
        length = len(SOME[index].residues)
        assert piece.rows.shape == (length, length)
        assert ((piece.rows > 0) & (piece.rows < 1)).all()
        np.testing.assert_allclose(piece.rows, piece.rows.T, atol=1e-6)
        np.testing.assert_allclose(batch.vectors["mean"][0], vectors["mean"][index], atol=1e-5)


def test_windows_give_no_contacts(encoder):
    windowed = options(outputs=("contacts",), embedding_fixed_len_a_time=20)
    with pytest.raises(EmbeddingError, match="is embedded in windows, which give no contacts"):
        list(Engine(encoder, windowed, CPU, 100, ContactHead(CONFIG)).embed(SOME))


def test_special_rows(encoder):
    engine = Engine(encoder, options(matrix_add_special_token=True), CPU, 100)
    matrices, vectors = embedded(engine, SOME)
    plain, _ = embedded(Engine(encoder, options(), CPU, 100), SOME)
    for matrix, inner, cls in zip(matrices, plain, vectors["cls"], strict=True):
        np.testing.assert_array_equal(matrix[1:-1], inner)
        np.testing.assert_array_equal(matrix[0], cls)


def test_memory_that_was_never_written_reaches_no_result(encoder, monkeypatch):
    reference = embedded(Engine(encoder, options(), CPU, 1), SOME)
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.empty(100).isnan().all()
        found = embedded(Engine(encoder, options(), CPU, 10_000), SOME)
    finally:
        torch.use_deterministic_algorithms(False)
    for name, values in found[1].items():
        np.testing.assert_allclose(values, reference[1][name], atol=1e-5)


GPU_IS_FULL = torch.OutOfMemoryError("CUDA out of memory")
MEMORY_IS_FULL = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:118] . DefaultCPUAllocator: can't allocate memory: you tried"
)


@pytest.mark.parametrize("error", [GPU_IS_FULL, MEMORY_IS_FULL])
def test_short_memory_halves_this_batch_and_those_after_it_and_changes_no_value(encoder, monkeypatch, error):
    reference, _ = embedded(Engine(encoder, options(), CPU, 10_000), SOME)
    forward = encoder.forward
    sizes = []

    def short(ids, types, lengths, **named):
        sizes.append(len(lengths))
        if len(lengths) > 2:
            raise error
        return forward(ids, types, lengths, **named)

    monkeypatch.setattr(encoder, "forward", short)
    engine = Engine(encoder, options(), CPU, 10_000)
    matrices, _ = embedded(engine, SOME)
    # Of 44, 16, 5, 4 and 3 tokens: at most 36, 14 and 6 at once, each time without those that are complete.
    assert sizes == [5, 1, 4, 1, 3, 1, 1, 1]
    assert engine.budget == 6
    for found, expected in zip(matrices, reference, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_batch_that_does_not_fit_beside_the_one_before_it_is_tried_alone(encoder, monkeypatch):
    """As on a GPU, where the next batch starts before the results of the previous one are read."""
    reference, _ = embedded(Engine(encoder, options(), CPU, 10_000), SOME)
    engine, launch, in_flight = Engine(encoder, options(), CPU, 1), Engine._launch, []

    def launch_if_nothing_is_in_flight(self, sequences, planned):
        if in_flight:
            raise GPU_IS_FULL
        in_flight.append(planned)
        return replace(launch(self, sequences, planned), ready="an event")

    def finish(self, batch, *arguments, finish=Engine._finish):
        in_flight.remove(batch.planned)
        return finish(self, replace(batch, ready=None), *arguments)

    monkeypatch.setattr(Engine, "_launch", launch_if_nothing_is_in_flight)
    monkeypatch.setattr(Engine, "_finish", finish)
    matrices, _ = embedded(engine, SOME)
    assert engine.budget == 1
    for found, expected in zip(matrices, reference, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_memory_that_is_short_for_one_sequence_is_an_error(encoder, monkeypatch):
    def short(*_, **__):
        raise MEMORY_IS_FULL

    monkeypatch.setattr(encoder, "forward", short)
    with pytest.raises(
        DeviceError, match=r"42 residues of the sequence .* do not fit .*: you tried\. .*Or: Set embedding"
    ):
        embedded(Engine(encoder, options(), CPU, 10_000), SOME[:2])


def test_results_that_do_not_fit_in_main_memory_are_not_said_to_be_too_large_for_the_gpu(encoder):
    """Results of a GPU are copied when an event has occurred; here a copy takes the place that finds no memory."""

    def copy(*_):
        raise MEMORY_IS_FULL

    engine = Engine(encoder, options(), CPU, 10_000)
    engine._copies = SimpleNamespace(copy=copy)
    with pytest.raises(
        DeviceError, match=r"400 bytes of results do not fit in this machine's memory .*Give the job more"
    ):
        engine._in_main_memory(torch.ones(100), "an event")


def test_another_error_is_raised_as_it_is(encoder, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no kernel image")

    monkeypatch.setattr(encoder, "forward", broken)
    with pytest.raises(RuntimeError, match="no kernel image"):
        embedded(Engine(encoder, options(), CPU, 10_000), SOME)


def test_values_that_are_not_finite_are_named(encoder, monkeypatch):
    monkeypatch.setattr(encoder, "forward", lambda ids, *_, **__: torch.full((len(ids), 16), torch.inf))
    with pytest.raises(
        EmbeddingError, match=rf"{SOME[0].digest} \(column `digest` of records.tsv gives its id\) is not finite"
    ):
        embedded(Engine(encoder, options(), CPU, 10_000), SOME)


@pytest.mark.parametrize("row", [0, 1, -1])
def test_a_single_row_that_is_not_finite_is_found(encoder, monkeypatch, row):
    """[CLS] is the first row of a sequence, [SEP] the last one. Neither is among the rows of residues."""
    forward = encoder.forward

    def faulty(ids, types, lengths, **named):
        hidden = forward(ids, types, lengths, **named)
        hidden.split(lengths)[1][row, 3] = torch.nan
        return hidden

    monkeypatch.setattr(encoder, "forward", faulty)
    with pytest.raises(EmbeddingError, match=f"{SOME[1].digest} .* is not finite"):
        embedded(Engine(encoder, options(), CPU, 10_000), SOME)


def test_bfloat16_stays_close(encoder):
    exact, _ = embedded(Engine(encoder, options(), CPU, 10_000), SOME)
    lower = LucaOne(CONFIG).eval().requires_grad_(False)
    lower.load_state_dict(encoder.state_dict())
    for block in lower.layers:
        for part in (block.self_attn.qkv_proj, block.self_attn.out_proj, block.fc1, block.fc2):
            part.to(torch.bfloat16)
    with torch.inference_mode():
        rough, _ = embedded(Engine(lower, options(precision="bfloat16"), CPU, 10_000), SOME)
    error = max(np.linalg.norm(a - b) / np.linalg.norm(a) for a, b in zip(exact, rough, strict=True))
    assert 1e-4 < error < 0.03


def test_a_layer_that_does_not_exist(encoder):
    with pytest.raises(ConfigError, match="layers 0 to 2"):
        Engine(encoder, options(layer=3), CPU, 10)


def test_a_table_of_positions_limits_the_length():
    network = LucaOne(EncoderConfig(10, 2, 1, 16, 2, use_embed_layer_norm=False)).eval()
    engine = Engine(network, options(), CPU, 100)
    with pytest.raises(EmbeddingError, match="position table allows at most 8"):
        list(engine.embed(sequences("M" * 9)))


WINDOWS = [
    {"embedding_fixed_len_a_time": 10, "embedding_complete_seg_overlap": overlap, "trunc_type": side}
    for overlap in (True, False)
    for side in ("right", "left")
] + [{"embedding_fixed_len_a_time": 10, "stitching": "centered"}]


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("way", WINDOWS, ids=str)
def test_windowed_rows_are_those_of_their_windows(encoder, way, special):
    chosen = options(matrix_add_special_token=special, **way)
    some = sequences("MKVLAWRRKLAWQE" * 3, "MKVLAWRRKLAWQE", "MKVLAWRRK")
    alone_engine = Engine(encoder, options(matrix_add_special_token=True), CPU, 1)
    of_parts = cache(lambda part: embedded(alone_engine, sequences(part)))
    reference = None
    for budget in (1, 15, 10_000):
        matrices, vectors = embedded(Engine(encoder, chosen, CPU, budget), some)
        for matrix, sequence, row in zip(matrices, some, range(3), strict=True):
            inner = matrix[1:-1] if special else matrix
            for window in chosen.windowing.windows(len(sequence.residues)):
                (alone,), pooled = of_parts(sequence.residues[window.start : window.stop])
                first = 1 + window.kept_start - window.start
                kept = alone[first : first + window.kept]
                np.testing.assert_allclose(inner[window.kept_start : window.kept_stop], kept, atol=1e-5)
                if window.gives_cls:
                    np.testing.assert_allclose(vectors["cls"][row], pooled["cls"][0], atol=1e-5)
                    assert not special or np.allclose(matrix[0], alone[0], atol=1e-5)
                if window.gives_sep and special:
                    np.testing.assert_allclose(matrix[-1], alone[-1], atol=1e-5)
            np.testing.assert_allclose(vectors["mean"][row], inner.mean(0), atol=1e-5)
            np.testing.assert_allclose(vectors["max"][row], inner.max(0), atol=1e-6)
        for found, expected in zip(matrices, reference or matrices, strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-5)
        reference = matrices
