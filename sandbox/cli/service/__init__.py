"""The commands of backups in service."""
