"""What holds for any input, tried by hypothesis on some of each."""

import csv
import math
import warnings
from pathlib import Path

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as arrays_of
from omegaconf import OmegaConf
from sklearn.metrics import average_precision_score, roc_auc_score
from support.grids import cell_named

from sad_lightning.cell.key import key_of
from sad_lightning.config.options import CONF
from sad_lightning.data import table
from sad_lightning.data.arrays import Arrays
from sad_lightning.data.own.reading import raw_rows, read_batches
from sad_lightning.data.split import draw_split
from sad_lightning.errors import DamagedError, InputError
from sad_lightning.files import read_archive, read_json, write_archive, write_json
from sad_lightning.grid.plan import jobs_of
from sad_lightning.stats.ranking import auroc, average_precision, midranks
from sad_lightning.stats.threshold import conformal_threshold, p_values, threshold_at_fpr

some = settings(max_examples=25, deadline=None, derandomize=True, database=None)
words = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_categories=["Cc", "Cs"]), max_size=8)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=12,
)
documents = st.dictionaries(words.filter(lambda name: name != "checksum"), plain, max_size=4)
scores = arrays_of(np.float64, st.integers(2, 60), elements=st.integers(-3, 3) | st.floats(-1e300, 1e300))


@some
@given(document=documents, at=st.floats(0, 1, exclude_max=True))
def test_a_document_reads_back_and_a_cut_one_is_known(document, at, tmp_path_factory):
    path = tmp_path_factory.mktemp("json") / "x.json"
    write_json(path, document)
    assert read_json(path) == document
    content = path.read_bytes()
    path.write_bytes(content[: int(at * (len(content) - 2))])  # the last two close it
    try:
        read_json(path)
    except DamagedError:
        return
    raise AssertionError("a cut document was read")


@some
@given(values=scores, at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_an_archive_reads_back_and_a_flip_of_any_bit_is_known(values, at, bit, tmp_path_factory):
    path = tmp_path_factory.mktemp("npz") / "x.npz"
    write_archive(path, "thing of cell 1", lambda file: np.savez(file, a=values))
    assert np.array_equal(np.load(read_archive(path, "thing of cell 1"))["a"], values)
    content = bytearray(path.read_bytes())
    content[int(at * len(content))] ^= 1 << bit
    path.write_bytes(content)
    try:
        read_archive(path, "thing of cell 1")
    except DamagedError:
        return
    raise AssertionError("a flipped bit was not seen")


@some
@given(settings=documents, name=words)
def test_a_key_hangs_on_what_settings_say_and_not_on_their_order(settings, name):
    assume(name not in settings)
    assert key_of(dict(reversed(settings.items()))) == key_of(settings)
    assert key_of({**settings, name: 1}) != key_of(settings)
    assert key_of({**settings, "patience": 0, "ensemble": 1}) == key_of(
        {key: value for key, value in settings.items() if key not in ("patience", "ensemble")}
    )


@some
@given(
    sizes=st.lists(st.integers(1, 60), min_size=2, max_size=5),
    ratios=st.tuples(*(st.sampled_from([0.0, 0.01, 0.1, 0.3]) for _ in range(3))),
    test_ratio=st.sampled_from([0.1, 0.4]),
    validation_ratio=st.sampled_from([0.0, 0.3]),
    seed=st.integers(0, 2**31),
)
def test_no_row_is_in_two_parts_of_a_split_and_training_knows_nothing_else(
    sizes, ratios, test_ratio, validation_ratio, seed
):
    target = np.repeat(np.arange(len(sizes)), sizes)
    arrays = Arrays(np.zeros((len(target), 2), np.float32), target, tuple(map(str, range(len(sizes)))))
    labeled, known_normal, pollution = ratios

    def draw():
        return draw_split(
            arrays, normal_class=0, known_anomaly=0, n_known=1, labeled_ratio=labeled, known_normal_ratio=known_normal,
            pollution_ratio=pollution, test_ratio=test_ratio, validation_ratio=validation_ratio, seed=seed,
        )  # fmt: skip

    try:
        split = draw()
    except InputError:  # too few rows for these ratios
        return
    parts = np.concatenate([split.train, split.validation, split.test])
    assert len(np.unique(parts)) == len(parts) <= len(target)
    known = split.train[split.semi < 0]
    assert set(target[known]) <= {1}
    assert set(target[split.train[split.semi > 0]]) <= {0}
    assert set(target[split.validation]) <= {0} or pollution > 0
    again = draw()
    assert np.array_equal(again.train, split.train)
    assert np.array_equal(again.test, split.test)


@some
@given(values=scores, data=st.data())
def test_areas_are_those_of_scikit_learn_and_ranks_alone_count(values, data):
    y = np.array(data.draw(st.lists(st.integers(0, 1), min_size=len(values), max_size=len(values))))
    assume(0 < y.sum() < len(y))
    assert math.isclose(auroc(y, values), roc_auc_score(y, values), abs_tol=1e-9)
    assert math.isclose(average_precision(y, values), average_precision_score(y, values), abs_tol=1e-9)
    assert math.isclose(auroc(y, midranks(values)), auroc(y, values), abs_tol=1e-9)
    assert math.isclose(auroc(1 - y, values), 1 - auroc(y, values), abs_tol=1e-9)


@some
@given(normals=scores, new=scores, fpr=st.floats(0, 1, exclude_max=True) | st.sampled_from([1e-12, 1 - 1e-12]))
def test_a_threshold_flags_what_its_p_values_call_rare(normals, new, fpr):
    assume(abs(round(fpr * (len(normals) + 1)) - fpr * (len(normals) + 1)) > 1e-6 or fpr in (0.0, 1e-12))
    flagged = new > conformal_threshold(normals, fpr)
    assert np.array_equal(flagged, p_values(normals, new) <= fpr)
    assert (normals > threshold_at_fpr(normals, fpr)).mean() <= fpr + 1e-9


@some
@given(kinds=st.lists(st.sampled_from("abc"), min_size=1, max_size=20), most=st.integers(1, 7), slots=st.integers(1, 4))
def test_every_cell_of_a_grid_is_in_one_job_behind_what_it_needs(kinds, most, slots):
    cells = [cell_named(number, kind, shares=f"s{number % 3}") for number, kind in enumerate(kinds)]
    jobs = jobs_of(cells, size=lambda _: most, slots=slots)
    trained = [cell.key for job in jobs if not job.pretrains for cell in job.cells]
    assert sorted(trained) == sorted(cell.key for cell in cells)
    for place, job in enumerate(jobs):
        assert job.number == place
        assert all(need < place and jobs[need].pretrains for need in job.needs)
        assert len(job.cells) <= most
        assert len({cell.kind for cell in job.cells}) == 1 or job.pretrains


TABLE = OmegaConf.to_container(OmegaConf.load(CONF / "data" / "table.yaml").data)
del TABLE["_target_"]
numbers = st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=False) | st.none()


@settings(some, max_examples=12)
@given(
    a=st.lists(numbers, min_size=3, max_size=9),
    soil=st.lists(words.filter(lambda word: word == word.strip()), min_size=9, max_size=9),
)
def test_a_table_is_at_prediction_what_it_was_at_training(a, soil, tmp_path_factory):
    path = Path(tmp_path_factory.mktemp("csv")) / "x.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["a", "soil", "b"])
        for row, value in enumerate(a):
            writer.writerow(["" if value is None else repr(value), soil[row], row])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # constant columns, and others that say little
            read = table(**TABLE | {"path": str(path)})
    except InputError:  # a column of no value, dates, ...
        return
    raw = np.concatenate([raw_rows(path, batch, read.schema, 1)[0] for batch in read_batches(path, read.schema)])
    np.testing.assert_array_equal(read.schema.expand(raw), read.x)
    expected = np.array([math.nan if value is None else value for value in a], dtype=np.float32)
    np.testing.assert_array_equal(read.x[:, 0], expected)
