"""What becomes of it: models judged, files written, a verdict; must not know which engine learned."""
