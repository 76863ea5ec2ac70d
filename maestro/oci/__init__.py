"""Images as the Open Container Initiative defines them: references, image layouts, and registries over HTTP.

What is here reads and writes manifests and blobs, and attaches signed bundles to images. Building and copying images is
left to buildah and skopeo. Importing this package loads no HTTP library; opening a registry does.
"""
