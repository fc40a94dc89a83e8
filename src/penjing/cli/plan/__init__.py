"""The verb `plan`, taken apart: what is planned, what is printed, what a report needs."""
