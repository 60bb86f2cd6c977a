"""Says what the service in Python is made of, for the report."""

import importlib.metadata
import platform

NAMES = ("fastapi", "uvicorn", "scikit-learn", "numpy", "opentelemetry-sdk")

print("In Python", ", ".join([platform.python_version()] + [f"{name} {importlib.metadata.version(name)}" for name in NAMES]) + ".")
