"""mora sources: where metrics can come from."""

from __future__ import annotations

from mora.cli.common import say, show


def sources() -> None:
    """List where metrics can come from: what each source reads, the extra it needs, the rights it needs.

    A source is chosen by its name; what stands behind the colon says which
    project, cluster or folder. mora doctor tries one, and names the right
    that is missing.

    \\b
    mora collect --history 14d --source gcp:my-project/my-cluster -n shop
    mora doctor --source gcp
    """
    from mora import registry
    from mora.columns import columns
    from mora.extras import EXTRAS, missing

    rows: list[tuple[str, ...]] = [("SOURCE", "READS", "NEEDS", "RIGHTS")]
    for name in registry.names("sources"):
        of = registry.load("sources", name)
        extra = f"cloud-{name}"
        package = registry.package_of("sources", name)
        needs = f"the package {package}" if package else "nothing more"
        if extra in EXTRAS:
            needs = f"the extra {extra}" + ("" if missing(extra) else ", installed")
        about = getattr(of, "ABOUT", "") or next(iter((of.__doc__ or "").splitlines()), "").strip()
        rows.append((name, about, needs, ", ".join(getattr(of, "RIGHTS", ())) or "none"))
    for line in columns(rows, is_right=[False] * 4):
        show(line)
    absent = [
        f"cloud-{name}" for name in registry.names("sources") if f"cloud-{name}" in EXTRAS and missing(f"cloud-{name}")
    ]
    if absent:
        say(f"Install an extra: pip install 'mora-rightsizing[{','.join(absent)}]'")
