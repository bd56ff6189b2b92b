"""Import, for administrators: readings from elsewhere, out of a file that is checked as a whole before it is stored."""

from __future__ import annotations

from typing import Final

import streamlit as st

from db.imports import Plan
from pages.parts.format import things
from pages.parts.import_work import Upload, bench, problems_html
from pages.parts.jobs import PATIENCE_S, Job
from pages.parts.login import actor_of, check_role
from pages.parts.notes import note_html, note_problem, show_notes
from pages.parts.tables import dim
from runtime import get_runtime

_UPLOAD: Final = "import upload"
_JOB: Final = "import job"
_FORMS: Final = (
    "CSV in UTF-8, or Parquet, with the columns that exports have: ts (UTC milliseconds) or time (ISO 8601 with its "
    "zone), device, metric, value and perhaps unit; or ts or time and a column a series, such as "
    "kitchen temperature (°C). Readings that are stored already do no harm."
)


def take_upload() -> Upload | None:
    """The file that lies there now, checked from the moment it does."""
    given = st.file_uploader("File with readings", type=["csv", "parquet"])
    known: Upload | None = st.session_state.get(_UPLOAD)
    if given is None:
        st.session_state.pop(_UPLOAD, None)
        return None
    if known is not None and known.key == given.file_id:
        return known
    upload = Upload(given.file_id, given.name, given, given.size)
    runtime = get_runtime()
    job = Job("import-check", upload.check(runtime), runtime.stopping)
    st.session_state[_UPLOAD], st.session_state[_JOB] = upload, job
    job.wait(PATIENCE_S)
    return upload


def start_storing(upload: Upload, plan: Plan) -> None:
    """Store it in a thread of its own; the page waits for what is quick."""
    who = actor_of(check_role("admin"))
    runtime = get_runtime()
    job = bench().start(lambda: Job("import-store", upload.store(runtime, who, plan), runtime.stopping))
    if job is None:
        note_problem("Somebody is importing just now. Wait until that has ended.")
        return
    upload.plan = None  # what it says holds no more
    st.session_state[_JOB] = job
    job.wait(PATIENCE_S)


@st.fragment(run_every=1)
def show_work() -> None:
    """How far it is, and then what came of it."""
    check_role("admin")
    job: Job = st.session_state[_JOB]
    if job.running:
        st.html(dim(job.words or "Begins…"))
    else:
        st.rerun()


def show_found(upload: Upload) -> None:
    """What would come of the file, and the one thing to do about it."""
    if upload.plan is None or upload.incoming is None:
        return
    fresh, problems = upload.plan.fresh, upload.incoming.problems
    if problems.count:
        st.html(problems_html(problems))
    if not len(fresh):
        st.html(dim("There is nothing to store."))
        return
    rest = f", without the {problems.count:,} that can't be used" if problems.count else ""
    if st.button(f"Store {things(len(fresh), 'reading')}{rest}"):
        start_storing(upload, upload.plan)
        st.rerun()


check_role("admin")
st.title("Import", anchor=False)
st.html(dim(_FORMS))
show_notes()
upload = take_upload()
job: Job | None = st.session_state.get(_JOB)
if job is not None and job.running:
    show_work()
elif job is not None and upload is not None:
    if upload.plan is not None or job.failed:
        st.html(note_html("problem" if job.failed else "told", job.words))
        show_found(upload)
    else:
        del st.session_state[_JOB]
        st.html(note_html("done", job.words))
