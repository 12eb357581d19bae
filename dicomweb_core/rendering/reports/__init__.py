"""Documents for people: structured reports (PS3.3 A.35) and encapsulated documents (PS3.3 A.45) as HTML and text."""
