"""Where a step keeps the image it made: an archive of its layout, of which later steps need nothing but the bytes."""

from __future__ import annotations

from assets import places
from assets.step_reports import slug
from maestro.oci.archive import pack_layout
from maestro.oci.layout import Layout
from maestro.steps import StepContext

FOLDER = "oci-images"


def keep_archive(context: StepContext, layout: Layout) -> str:
    """Write the image into the step's own archive; its path in the workspace."""
    made = context.scratch / "image.tar"
    pack_layout(layout, made)
    folder = context.workspace / FOLDER
    if not folder.exists():
        folder.mkdir(exist_ok=True)
        # A folder nobody asked for must not make the checkout another revision.
        folder.joinpath(".gitignore").write_text("*\n")
    step = "/".join(slug(part) for part in (context.env.get("MAESTRO_STEP") or "image").split("/"))
    place = places.inside(context.workspace, f"{FOLDER}/{step}.tar", "image")
    places.publish(made, place)
    made.unlink()
    return places.relative(context.workspace, place)
