"""Usual layouts of text files are read alike; words stay as they are written; what is not clear is one sentence."""

import pandas as pd
import pytest

from gossipfl.data import Schema, Table, classes, clean, encode, levels, read
from gossipfl.errors import BadData

X, Y = [[1.5, -2.0], [0.25, 3.0], [7.0, -0.5]], [1.0, 0.0, 1.0]


def put(folder, name: str, content: str) -> None:
    (folder / name).write_text(content, encoding="utf-8", newline="")


LAYOUTS = {
    "plain": "a,b,y\n1.5,-2,1\n0.25,3,0\n7,-0.5,1\n",
    "windows, with a mark": "\ufeffa;b;y\r\n1.5;-2;1\r\n0.25;3;0\r\n7;-0.5;1\r\n",
    "bars": "a|b|y\n1.5|-2|1\n0.25|3|0\n7|-0.5|1\n",
    "tabs": "a\tb\ty\n1.5\t-2\t1\n0.25\t3\t0\n7\t-0.5\t1\n",
    "blanks": "  a    b y\n  1.5  -2   1\n 0.25   3  0\n  7 -0.5   1  \n",
    "blanks and tabs": "a \t b  y\n1.5\t -2   1\n0.25   3\t0\n7 -0.5   1\n",
    "named separator": "sep=;\na;b;y\n1.5;-2;1\n0.25;3;0\n7;-0.5;1\n",
    "comments": "# from a laboratory, site 3\n#units: 1\n\na,b,y\n1.5,-2,1\n0.25,3,0\n7,-0.5,1\n",
    "a comment like a header": "# x, y, kg\na,b,y\n1.5,-2,1\n0.25,3,0\n7,-0.5,1\n",
    "a header in a comment": "# made by numpy\n# a,b,y\n1.5,-2,1\n0.25,3,0\n7,-0.5,1\n",
    "numbers in a comment": "# 1, 2, 3\na,b,y\n1.5,-2,1\n0.25,3,0\n7,-0.5,1\n",
    "a separator at the end": "a,b,y,\n1.5,-2,1,\n0.25,3,0,\n7,-0.5,1,\n",
    "quotes": '"a","b",y\n"1.5",-2,1\n0.25,"3",0\n7,-0.5,"1"\n',
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_usual_layouts_hold_the_same_table(tmp_path, layout):
    put(tmp_path, "t.csv", LAYOUTS[layout])
    table = read("t.csv", "y", folder=tmp_path)
    assert table.columns == ("a", "b")
    assert table.features.to_numpy().tolist() == X
    assert table.target.tolist() == Y


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("-0,5;3,25;0\n2,5;1,5;1\n", ["a", "b", "y"]),  # as many commas as semicolons
        ("-0,5  3,25  0\n2,5  1,5  1\n", ["a", "b", "y"]),
        ('"a, kg";"b, m";y\n-0,5;3,25;0\n2,5;1,5;1\n', None),
        ('a,b,y\n"-0,5","3,25",0\n"2,5","1,5",1\n', None),
    ],
)
def test_decimal_commas_are_named_and_read_where_the_experiment_says_so(tmp_path, content, columns):
    put(tmp_path, "t.csv", content)
    with pytest.raises(
        BadData,
        match=r"comma or thousands separators \(for example '-?\d,\d+' in row \d\): set decimal = \",\"",
    ):
        levels(read("t.csv", "y", folder=tmp_path, columns=columns))
    table = read("t.csv", "y", folder=tmp_path, columns=columns, decimal=",")
    assert table.features.to_numpy().tolist() == [[-0.5, 3.25], [2.5, 1.5]]
    target = read("t.csv", table.columns[0], folder=tmp_path, columns=columns, decimal=",").target
    assert target.tolist() == [-0.5, 2.5]


def test_files_with_points_are_read_beside_files_with_decimal_commas(tmp_path):
    put(tmp_path, "a.csv", "u;y\n1,5;0\n")
    put(tmp_path, "b.csv", "u,y\n1.5,0\n")
    assert [t.features["u"].tolist() for t in read("*.csv", "y", folder=tmp_path, decimal=",").values()] == [
        [1.5]
    ] * 2
    put(tmp_path, "a.csv", "u;v;y\n1,5;1.234;0\n")
    with pytest.raises(BadData, match=r"'1.234' in column 'v', but decimal = \",\""):
        read("a.csv", "y", folder=tmp_path, decimal=",")


def test_a_line_break_in_a_name_is_a_blank(tmp_path):
    put(tmp_path, "t.csv", '\n"age\r\n(years)","b\nc",y\n"1\n",2,0\n3,4,1\n')
    table = read("t.csv", "y", folder=tmp_path)
    assert table.columns == ("age (years)", "b c")
    assert table.features.to_numpy().tolist() == [[1, 2], [3, 4]]


def test_columns_of_words_are_as_they_are_written(tmp_path):
    put(tmp_path, "t.csv", "code,n,y\n007,1e5,900000000000000001\n7,2,900000000000000002\n1E2,3,100\n")
    table = read("t.csv", "y", folder=tmp_path, verbatim=["code"])
    assert levels(table, ["code"]) == {"code": {"007", "7", "1E2"}}
    assert classes(table) == {"900000000000000001", "900000000000000002", "100"}
    assert table.features["n"].tolist() == [1e5, 2, 3]
    equal = read("t.csv", "y == 900000000000000001", folder=tmp_path, verbatim=["code"])
    assert equal.target.tolist() == [1, 0, 0]


def test_blanks_after_a_separator_do_not_count(tmp_path):
    put(tmp_path, "t.csv", 'n, s, y\n1, a, u\n2,a,u\n3,  a, v\n4, "a", v\n5,b ,v\n')
    table = read("t.csv", "y", folder=tmp_path, verbatim=["s"])
    assert levels(table, ["s"]) == {"s": {"a", "b "}}
    assert classes(table) == {"u", "v"}


def test_codes_that_would_be_one_number_are_refused(tmp_path):
    put(tmp_path, "t.csv", "code,n,y\n250.1,1.5,2.5\n250.10,1.50,2.50\n")
    with pytest.raises(BadData, match=r"'250.1' and '250.10' in column 'code', which are one number"):
        read("t.csv", "y", folder=tmp_path, verbatim=["code"])
    assert read("t.csv", "y", folder=tmp_path).target.tolist() == [2.5, 2.5]
    put(tmp_path, "t.csv", "code,y\n1,2\n1.0,3\n 01,4\n")
    assert levels(read("t.csv", "y", folder=tmp_path, verbatim=["code"]), ["code"]) == {"code": {"1", "01"}}


@pytest.mark.parametrize("kind", ["int64", "Int64", "object"])
def test_large_whole_numbers_of_other_formats_stay_apart(tmp_path, kind):
    codes = pd.array([900000000000000001, 900000000000000002], dtype=kind)
    pd.DataFrame({"code": codes, "u": [0.0, 1.0], "y": codes}).to_parquet(tmp_path / "t.parquet")
    table = read("t.parquet", "y", folder=tmp_path, verbatim=["code"])
    assert levels(table, ["code"])["code"] == classes(table) == set(map(str, codes))


def test_truth_values_are_words_where_another_file_has_more_words(tmp_path):
    put(tmp_path, "a.csv", "s,y\nTRUE,True\nFALSE,False\n")
    put(tmp_path, "b.csv", "s,y\nunknown,true\ntrue,false\n")
    pd.DataFrame({"s": [True, None], "y": [True, False]}).to_parquet(tmp_path / "c.parquet")
    tables = read("*.*", "y", folder=tmp_path, verbatim=["s"])
    found = [levels(table, ["s"])["s"] for table in tables.values()]
    assert found == [{"TRUE", "FALSE"}, {"TRUE", "unknown"}, {"TRUE"}]
    assert [classes(table) for table in tables.values()] == [{"TRUE", "FALSE"}] * 3
    for target, expected in (
        ("y == true", [1, 0]),
        ("y == 1", [1, 0]),
        ("y > 0", [1, 0]),
        ("y != TRUE", [0, 1]),
    ):
        assert read("a.csv", target, folder=tmp_path).target.tolist() == expected
    plain = read("a.csv", "y", folder=tmp_path)
    assert plain.features["s"].tolist() == [1, 0]
    train, _ = encode(plain, Schema.agree(plain.columns, {}, None))
    assert train.y.tolist() == [1, 0]


def test_missing_words_can_be_set_and_are_named(tmp_path):
    put(tmp_path, "t.csv", "drinks,n,y\nNone,1,0\nHeavy,NA,1\n,-9,0\n")
    table = read("t.csv", "y", folder=tmp_path, verbatim=["drinks"])
    assert table.features["drinks"].isna().tolist() == [True, False, True]
    with pytest.raises(BadData, match=r"first in row 1 \('None' counts as missing: see missing_words\)"):
        clean(table)


@pytest.mark.parametrize("word", ["None", "n/a", "?", "NULL"])
def test_a_word_that_does_not_count_as_missing_is_a_level(tmp_path, word):
    put(tmp_path, "t.csv", f"drinks,n,y\n{word},1,0\nHeavy,-9,{word}\n,2,0\n")
    table = read("t.csv", "y", folder=tmp_path, verbatim=["drinks"], missing=["-9"])
    assert levels(table, ["drinks"]) == {"drinks": {word, "Heavy"}}
    assert classes(table) == {"0", word}
    assert table.features["n"].isna().tolist() == [False, True, False]


def test_rows_that_are_left_out_are_counted_by_column(tmp_path):
    put(tmp_path, "t.csv", "drinks,n,y\nNone,1,0\nHeavy,,1\nNone,-9,NA\nMild,0,1\n")
    kept = clean(read("t.csv", "y", folder=tmp_path, verbatim=["drinks"]), "drop")
    assert len(kept) == 1
    assert kept.notes == (
        "3 of 4 rows are left out, as values are missing: 'drinks' in 2 ('None' counts as missing: see missing_words), "
        "'n' in 1, 'y' in 1 ('NA' counts as missing: see missing_words)",
    )


@pytest.mark.parametrize(("missing", "done"), [("mode", "are filled in"), ("level", "become a level")])
def test_words_that_count_as_missing_are_named_where_they_are_filled_in(tmp_path, missing, done):
    put(tmp_path, "t.csv", "drinks,n,m,y\nNone,1,a,0\nHeavy,2,,1\nNone,3,a,1\nMild,0,b,1\n")
    kept = clean(read("t.csv", "y", folder=tmp_path, verbatim=["drinks", "m"]), missing, ["drinks", "m"])
    assert kept.notes == (
        f"values are missing, and {done}: 'drinks' in 2 ('None' counts as missing: see missing_words)",
    )
    assert kept.features["drinks"].isna().sum() == (2 if missing == "mode" else 0)


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "...1"])
def test_row_numbers_that_a_program_wrote_are_no_feature(tmp_path, name):
    put(tmp_path, "t.csv", f"{name},a,y\n0,1.5,1\n1,2.5,0\n")
    with pytest.raises(BadData, match=r"column 1 has .*row numbers.*drop = \[\""):
        read("t.csv", "y", folder=tmp_path)
    assert read("t.csv", "y", folder=tmp_path, drop=[name]).columns == ("a",)
    put(tmp_path, "u.csv", "a,y\n1.5,1\n")
    assert [t.columns for t in read("[tu].csv", "y", folder=tmp_path, drop=[name]).values()] == [("a",)] * 2


UNCLEAR = {
    "a title": ("Export of site 3\na,b,y\n1,2,0\n", None, "first line must name all columns"),
    "two headers": ("#name,sex\nAnn,f\nBob,m\n", None, "two lines that may be the header"),
    "a comment or a row": ("#1,2\n3,4\n5,6\n", ["a", "y"], "may be a comment or a row"),
    "a row that lacks a value": ("a b y\n1 2 0\n1 0\n", None, "3 columns, but 2 values in row 2"),
    "two columns without a name": ("a,y,,\n1,0,3,4\n", None, "several columns without a name"),
    "row names of R": ('"a" "y"\n"1" 2 0\n"2" 3 1\n', None, "2 columns, but 3 values in row 1"),
    "a row with a value more": ("a,b,y\n1,2\n3,4,0\n", None, "3 values in line 2 .* 2 in the lines above"),
    "another separator": (
        "a:b:y\n1:2:0\n3:4:1\n",
        None,
        "only one column, 'a:b:y': the first line must .* bars or blanks",
    ),
    "thousands": ("a;y\n1,234,567;0\n", None, "thousands separators .for example '1,234,567' in row 1"),
    "points and a comma": ("a;y\n1.234,5;0\n", None, "thousands separators .for example '1.234,5' in row 1"),
}


@pytest.mark.parametrize("case", UNCLEAR)
def test_what_is_not_clear_is_a_sentence(tmp_path, case):
    content, columns, sentence = UNCLEAR[case]
    put(tmp_path, "t.csv", content)
    with pytest.raises(BadData, match=sentence):
        levels(read("t.csv", "y", folder=tmp_path, columns=columns))


def test_a_very_wide_file_is_read(tmp_path):
    names = [f"{j:0100}g" for j in range(1500)]  # more than csv takes for one value
    put(tmp_path, "t.csv", ",".join([*names, "y"]) + "\n" + ",".join(["0.5"] * 1500) + ",1\n")
    assert len(read("t.csv", "y", folder=tmp_path).columns) == 1500


def test_hidden_files_are_no_peers_and_a_stray_file_is_named(tmp_path):
    for name in ("a.csv", "b.csv"):
        put(tmp_path, name, LAYOUTS["plain"])
    (tmp_path / "._a.csv").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
    for source in (".", "*.csv", "**/*.csv"):
        assert list(read(source, "y", folder=tmp_path)) == ["a", "b"]
    put(tmp_path, "README.txt", "These tables, exported in May.\nAsk, for more.\n")
    with pytest.raises(BadData, match=r"README.txt has no target.*not a file of a peer.*glob"):
        read(".", "y", folder=tmp_path)
    put(tmp_path, "README.txt", "Ask.\n")
    with pytest.raises(BadData, match=r"README.txt .*not a file of a peer"):
        read(".", "y", folder=tmp_path)


def test_brackets_in_the_name_of_a_folder_are_no_pattern(tmp_path):
    folder = tmp_path / "study [2024] ä"
    folder.mkdir()
    for name in ("a.csv", "b.csv"):
        put(folder, name, LAYOUTS["plain"])
    for source in ("*.csv", "[ab].csv", "."):
        assert list(read(source, "y", folder=folder)) == ["a", "b"]
    for source in ("study [2024] ä", "study [2024] ä/*.csv"):
        assert list(read(source, "y", folder=tmp_path)) == ["a", "b"]


def test_columns_are_matched_by_name_and_a_difference_names_all(tmp_path):
    put(tmp_path, "a.csv", "u,v,y\n1,2,0\n")
    put(tmp_path, "b.csv", "v,y,u\n2,0,1\n")
    put(tmp_path, "c.csv", "v,y,note,u\n2,0,8,1\n")
    with pytest.raises(
        BadData, match=r"'note' is in 'c', but not in 'a', 'b'; leave it out with drop = \[\"note\"\]"
    ):
        read("*.csv", "y", folder=tmp_path)
    tables = read("*.csv", "y", folder=tmp_path, drop=["note"])
    assert [t.features.to_dict("list") for t in tables.values()] == [{"u": [1], "v": [2]}] * 3
    assert {t.columns for t in tables.values()} == {("u", "v")}
    with pytest.raises(BadData, match=r"none of the files .* has a column 'nota'; did you mean 'note'"):
        read("*.csv", "y", folder=tmp_path, drop=["nota"])
    with pytest.raises(BadData, match="no column 'note'"):
        read("a.csv", "y", folder=tmp_path, drop=["note"])
    assert read("a.csv", "y", folder=tmp_path, drop=["note"], one_of_many=True).columns == ("u", "v")


def test_words_that_differ_by_blanks_or_line_breaks_are_refused():
    for words_ in (["a", "a "], ["a b", "a\nb"], [" a", "a"], ["a  b", "a b"]):
        table = Table.of(pd.DataFrame({"s": words_}), words_)
        assert len(levels(table, ["s"])["s"]) == len(classes(table)) == 2
        with pytest.raises(BadData, match=r"column 's' has the levels .* differ only by blanks"):
            Schema.agree(["s"], levels(table, ["s"]), ["0", "1"])
        with pytest.raises(BadData, match=r"the target has the classes .* differ only by blanks"):
            Schema.agree(["s"], {}, classes(table))
    with pytest.raises(BadData, match=r"'0', 'FALSE', 'TRUE': truth values and numbers"):
        Schema.agree(["s"], {"s": ["TRUE", "FALSE", "0"]}, None)


def test_the_positive_class_is_the_last():
    assert Schema.agree(["s"], {}, ["healthy", "disease"]).classes == ("disease", "healthy")
    assert Schema.agree(["s"], {}, ["healthy", "disease"], "disease").classes == ("healthy", "disease")
    assert Schema.agree(["s"], {}, ["FALSE", "TRUE"], "false").classes == ("TRUE", "FALSE")
    for found in (["a", "b"], ["disease", "a", "b"], None):
        with pytest.raises(BadData, match="positive = 'disease' must be one of two classes"):
            Schema.agree(["s"], {}, found, "disease")
