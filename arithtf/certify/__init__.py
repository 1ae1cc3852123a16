"""Certificates: exactness at every operand length, from every local context that can occur."""

from arithtf.callable import make_callable
from arithtf.certify.certificate import (
    Certificate,
    CertificateError,
    Shown,
    Verdict,
    contexts_hash,
)
from arithtf.certify.check import (
    Checked,
    Tour,
    certify,
    check_contexts,
    forward_decisions,
    run_tour,
)
from arithtf.certify.contexts import (
    Conflict,
    TaskContexts,
    enumerate_contexts,
    layouts,
    render_context,
)
from arithtf.certify.provable import (
    CannotCertify,
    Clash,
    check_task,
    require_provable,
    require_provable_config,
)
from arithtf.certify.verify import Verification, verify_certificate
from arithtf.model import ContextSet, collect

__all__ = [
    "CannotCertify",
    "Certificate",
    "CertificateError",
    "Checked",
    "Clash",
    "Conflict",
    "ContextSet",
    "Shown",
    "TaskContexts",
    "Tour",
    "Verdict",
    "Verification",
    "certify",
    "check_contexts",
    "check_task",
    "collect",
    "contexts_hash",
    "enumerate_contexts",
    "forward_decisions",
    "layouts",
    "render_context",
    "require_provable",
    "require_provable_config",
    "run_tour",
    "verify_certificate",
]

make_callable(__name__)
