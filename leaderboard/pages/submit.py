"""Submit: send a submission, see at once what the check says, and watch the queue.

Nothing that is sent is executed here: `suite.intake` unpacks it as plain files and checks it in a process of its own;
``hallmark worker``, which somebody starts beside the board, scores it.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from leaderboard import data, text
from suite import intake, upload
from suite.errors import HallmarkError
from suite.intake import Answer
from suite.queue import Entry, Queue

NAME = "submit"
REFRESH_S = 3
FINISHED_SHOWN, LINKED = 50, 5
WORKER_COMMAND = "hallmark worker --results"
INTRODUCTION = (
    "A submission is a folder: a manifest, submission.toml, and the model's files: safetensors, ONNX or .pt2, never a "
    "pickle or code. It gets the same checks as from `hallmark check` and is then queued; nothing that you send is "
    "executed by the board."
)
EXAMPLE = """schema_version = 1
name = "my-model-int8"            # letters, digits, dot, underscore, hyphen; not taken yet
title = "my model, int8 weights"
kind = "classification"           # language | segmentation | classification
format = "onnx"                   # see: hallmark list formats
weights = "model.onnx"            # file or folder beside this one, "data:NAME" or "hub:org/name@revision"
sha256 = "0123..."                # of a file: sha256sum model.onnx; of a folder: see submissions/README.md
parent = "my-model"               # leave out for a model that was not made from another one
tasks = ["digits"]                # leave out for the embedded tasks of its kind
[compression]
method = "onnx-int8-static"
bits = 8
"""
Bring = Callable[[Queue], Answer]


def main() -> None:
    """The page."""
    if st.session_state.get("entered"):  # what another visit was answered is old news
        st.session_state.pop("answer", None)
    data.restore(NAME)
    st.title("Submit")
    queue = Queue(data.root())
    if st.get_option("server.maxUploadSize"):
        st.markdown(INTRODUCTION)
        with st.expander("What a manifest says"):
            st.code(EXAMPLE, language=None)
        _form(queue)
        _answer()
    else:
        st.info("Submissions are closed on this board. Ask whoever keeps it.")
    _queue()
    data.remember(NAME)


def _form(queue: Queue) -> None:
    ways = {
        "Folder": _folder,
        "Archive": _archive,
        "Manifest and files": _files,
        "On the server": _server,
    }
    data.say_unknown("way to send", data.parameters("how"), list(ways))
    how = st.segmented_control(
        "What do you send?", list(ways), default="Folder", required=True, key="how", bind="query-params"
    )
    with st.form(f"send {how}", clear_on_submit=how != "On the server"):
        given = ways[how or "Folder"]()
        pressed = st.form_submit_button("Check and submit", type="primary")
    if not pressed:
        return
    if given is None:
        st.session_state["answer"] = Answer(problems=("nothing was sent: choose what to send first",))
        return
    with st.spinner("Checking what you sent"):
        st.session_state["answer"] = _sent(queue, given)


def _sent(queue: Queue, given: Bring) -> Answer:
    try:
        return given(queue)
    except HallmarkError as error:  # the machine's fault: a full disk, say
        return Answer(problems=(str(error),))


def _folder() -> Bring | None:
    files = st.file_uploader("Folder of the submission, with submission.toml in it", accept_multiple_files="directory")
    if not files:
        return None
    return partial(intake.submit_files, bring=partial(upload.place, [(file.name, file) for file in files]))


def _archive() -> Bring | None:
    file = st.file_uploader("Archive of that folder: zip, tar or tar.gz", type=upload.ARCHIVES)
    return None if file is None else partial(intake.submit_files, bring=partial(upload.unpack, file))


def _files() -> Bring | None:
    manifest = st.file_uploader("Manifest", type="toml", max_upload_size=1)
    files = st.file_uploader(
        "Files of the model; none if the manifest's weights are hub:... or data:...", accept_multiple_files=True
    )
    if manifest is None:
        return None
    named: list[tuple[str, Any]] = [(file.name, file) for file in files]
    return partial(intake.submit_files, bring=partial(upload.place, upload.beside_manifest(manifest, named)))


def _server() -> Bring | None:
    given = st.text_input(
        "Folder of the submission on the board's machine, or its name under submissions/",
        help="Below the folder that the board was started in, or below $HALLMARK_DATA. Its files stay there.",
    )
    return partial(intake.submit_folder, given=given) if given.strip() else None


def _answer() -> None:
    """What was said of the last submission of this visit; all of it is plain text."""
    answer: Answer | None = st.session_state.get("answer")
    if answer is None:
        return
    if answer.problems:
        st.error("Refused; nothing was queued. Mend this and send it again:")
        st.text(data.public("\n".join(answer.problems)))
    elif answer.known:
        st.info("This very submission is waiting already; it was not queued twice.")
        st.text(answer.name)
    else:
        st.success("Checked and queued.")
        st.text(answer.name)
    if answer.notes:
        st.warning("Everybody who gets these files can read this of your machine (hallmark check --strip removes it):")
        st.text(data.public("\n".join(answer.notes)))


@st.fragment(run_every=REFRESH_S)
def _queue() -> None:
    """Queue, running and finished work; looks again by itself."""
    queue = Queue(data.root())
    waiting, running = queue.entries("queued"), queue.entries("running")
    st.subheader("Queue")
    alive = queue.has_worker()
    if (waiting or running) and not alive:
        st.info("No worker is running, so nothing moves. Whoever keeps this board starts one in its folder:")
        st.code(f"{WORKER_COMMAND} {shlex.quote(queue.results.absolute().name)}", language=None)
    for entry in running:
        _running(queue, entry, alive)
    if waiting:
        frame = pd.DataFrame({"submission": [e.name for e in waiting], "submitted": [e.submitted for e in waiting]})
        frame.insert(0, "place", range(1, len(frame) + 1))
        st.dataframe(frame, hide_index=True, width="content", alt="Submissions that wait, the next one first")
    elif not running:
        st.text("Nothing is waiting.")
    _finished(queue)


def _running(queue: Queue, entry: Entry, alive: bool) -> None:
    how_far = queue.progress(entry)
    if not alive:
        st.text(f"{entry.name}: its worker was stopped; the next one goes on where it was")
    elif how_far is None:
        st.progress(0.0, text=data.escaped(f"{entry.name}: being prepared"))
    else:
        share = min(1.0, how_far.done / how_far.total) if how_far.total else 0.0
        items = f"{how_far.done:,} of {how_far.total:,} items" if how_far.total else "the model is loading"
        where = f"{how_far.task} (task {how_far.nth} of {how_far.tasks})"
        st.progress(
            min(1.0, (how_far.nth - 1 + share) / how_far.tasks), text=data.escaped(f"{entry.name} on {where}: {items}")
        )


def _finished(queue: Queue) -> None:
    ended = [(state, entry) for state in ("done", "failed") for entry in _last(queue, state)]
    ended = sorted(ended, key=lambda one: one[1].ended or "", reverse=True)[:FINISHED_SHOWN]
    if not ended:
        return
    st.subheader("Finished")
    columns = {
        "submission": [entry.name for _, entry in ended],
        "state": [state for state, _ in ended],
        "ended": [entry.ended for _, entry in ended],
        "scored": ["; ".join(entry.scored) or text.MISSING for _, entry in ended],
        "why not": [data.public("; ".join(entry.failures)) for _, entry in ended],
    }
    st.dataframe(pd.DataFrame(columns), hide_index=True, alt="Finished submissions, the newest first")
    failed = [entry for _, entry in ended if entry.failures]
    if failed:
        with st.expander("Why submissions failed"):
            for entry in failed:
                st.text(data.public("\n".join(f"{entry.name}: {line}" for line in entry.failures)))
    names = list(dict.fromkeys(entry.name for _, entry in ended if entry.scored))[:LINKED]
    if names:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption("Their results:")
            for name in names:
                data.link(name, "model", submission=name)


def _last(queue: Queue, state: Any) -> list[Entry]:
    return queue.entries(state, FINISHED_SHOWN)


if __name__ == "__main__":
    main()
