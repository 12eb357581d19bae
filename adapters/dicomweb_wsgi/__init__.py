"""DICOMweb over WSGI (PEP 3333): the application for any WSGI server, and the `dicomweb` command."""

from dicomweb_wsgi.application import Application, Origin, WSGIApplication, wsgi_application

__all__ = ["Application", "Origin", "WSGIApplication", "wsgi_application"]
