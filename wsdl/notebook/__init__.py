"""WSDL in a notebook: `%load_ext wsdl`, then cells that begin with `%%wsdl name`.

    from wsdl.notebook import NotebookProgress

    wsdl.fit(trainer, data, epochs=10, callbacks=[NotebookProgress()])

IPython is not a dependency: its functions are called where it is there.
"""

from wsdl.notebook.progress import NotebookProgress

__all__ = ["NotebookProgress"]
