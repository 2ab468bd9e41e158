"""When backups run: cron expressions, intervals and quiet hours."""
