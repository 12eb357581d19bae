"""DICOMweb over WSGI (PEP 3333): the application for any WSGI server, and the `dicomweb` command."""

from dicomweb_wsgi.application import Origin, WSGIApplication, wsgi_application

__all__ = ["Origin", "WSGIApplication", "wsgi_application"]
