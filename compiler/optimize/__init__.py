"""The pass manager: what a pass is, which there are, pipelines of them, and the tools with which they write graphs."""
