"""What can be wrong with a teacher and its student.

InputError
├── VocabulariesDiffer
├── ConsentMissing
└── NoQuestions
EngineError
└── TeacherFailed
"""

from __future__ import annotations

from penjing.errors import EngineError, InputError


class VocabulariesDiffer(InputError):
    """Facts: `teacher`, `student`, `detail` (the first difference)."""

    template = "{student} and its teacher {teacher} write with different tokens ({detail})."
    hint = "Take a student with the teacher's tokenizer, or let the teacher write: --teacher-url URL"
    code = "vocabularies_differ"


class ConsentMissing(InputError):
    """Facts: `url`."""

    template = "Before answers of {url} are learned, somebody must have read whether its terms allow that."
    hint = 'Say so: --consent "what allows it", for example the licence of the model; it is kept in the manifest.'
    code = "consent_missing"


class NoQuestions(InputError):
    """Facts: `path`."""

    template = "{path} holds no question that a teacher could answer."
    hint = "Give conversations, or instructions: the answers in them are replaced by the teacher's."
    code = "no_questions"


class TeacherFailed(EngineError):
    """Facts: `url`, `detail`."""

    template = "The teacher at {url} does not answer: {detail}"
    hint = "What it answered so far is kept; go on with the same command and --resume."
    code = "teacher_failed"
