"""The reader of SecLang: from rule files to rules that are known to mean something."""
